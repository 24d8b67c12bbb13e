package chart

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/packhouse/packhouse/conformance/packhouse"
)

// object is a JSON Schema, or a part of one.
type object = map[string]any

// more is what a value alone does not say of its key.
func more() map[string]object {
	number := object{"type": []string{"integer", "string"}}
	return map[string]object{
		"replicaCount":                         {"minimum": 1},
		"image.repository":                     {"minLength": 1},
		"image.digest":                         {"pattern": "^(sha256:[0-9a-f]{64})?$"},
		"image.pullPolicy":                     {"enum": []string{"Always", "IfNotPresent", "Never"}},
		"persistence.accessModes":              {"minItems": 1, "items": object{"enum": []string{"ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"}}},
		"service.type":                         {"enum": []string{"ClusterIP", "NodePort", "LoadBalancer"}},
		"service.port":                         {"minimum": 1, "maximum": 65535},
		"service.externalTrafficPolicy":        {"enum": []string{"", "Cluster", "Local"}},
		"ingress.hosts":                        {"items": object{"type": "string", "minLength": 1}},
		"httpRoute.hostnames":                  {"items": object{"type": "string", "minLength": 1}},
		"autoscaling.minReplicas":              {"minimum": 1},
		"podDisruptionBudget.maxUnavailable":   number,
		"podDisruptionBudget.minAvailable":     number,
		"terminationGracePeriodSeconds":        {"minimum": 0},
		"metrics.serviceMonitor.interval":      {"pattern": "^([0-9]+(ms|s|m|h))*$"},
		"service.loadBalancerSourceRanges":     {"items": object{"type": "string"}},
		"metrics.serviceMonitor.relabelings":   {"items": object{"type": "object"}},
		"metrics.serviceMonitor.scrapeTimeout": {"pattern": "^([0-9]+(ms|s|m|h))*$"},
	}
}

// handedOn are sections that Kubernetes knows, not the chart.
func handedOn() []string {
	return []string{
		"resources", "podSecurityContext", "securityContext", "startupProbe", "livenessProbe", "readinessProbe", "autoscaling.behavior",
		"ingress.annotations",
	}
}

// TestSchema: values.schema.json is what values.yaml and the binary's own schema make.
func TestSchema(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(filepath.Join(chartDir(t), "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(content, &doc); err != nil {
		t.Fatal(err)
	}
	m := maker{t: t, more: more(), config: configSchema(t)}
	schema := m.section(doc.Content[0], "")
	schema["$schema"] = "http://json-schema.org/draft-07/schema#" // what all versions of helm know
	schema["title"] = "Values of the chart packhouse"
	schema["properties"].(object)["global"] = object{"type": "object", "description": "Set by Helm where this chart is part of another."}
	for path := range m.more {
		t.Errorf("there is no value %s", path)
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(schema); err != nil {
		t.Fatal(err)
	}
	golden(t, filepath.Join(chartDir(t), "values.schema.json"), text.String())
}

// configSchema is what the binary says of its configuration.
func configSchema(t *testing.T) object {
	t.Helper()
	binary, err := packhouse.Binary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), binary, "config", "schema").Output()
	if err != nil {
		t.Fatal(err)
	}
	var schema object
	if err := json.Unmarshal(out, &schema); err != nil {
		t.Fatal(err)
	}
	delete(schema, "$schema")
	delete(schema, "title")
	return schema
}

type maker struct {
	t      *testing.T
	more   map[string]object // taken out when used
	config object
}

func (m *maker) section(n *yaml.Node, prefix string) object {
	properties := object{}
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		path := prefix + key.Value
		s := m.value(value, path)
		maps.Copy(s, m.more[path])
		delete(m.more, path)
		if doc := comment(key); doc != "" {
			s["description"] = doc
		} else if value.Kind != yaml.MappingNode || len(value.Content) == 0 {
			m.t.Errorf("values.yaml:%d: %s has no comment that says what it is", key.Line, path)
		}
		properties[key.Value] = s
	}
	return object{"type": "object", "additionalProperties": false, "properties": properties}
}

func (m *maker) value(n *yaml.Node, path string) object {
	switch {
	case path == "config":
		return maps.Clone(m.config)
	case path == "existingSecrets":
		return m.secrets()
	case slices.Contains(handedOn(), path), n.Kind == yaml.MappingNode && len(n.Content) == 0:
		return object{"type": "object"}
	case n.Kind == yaml.MappingNode:
		return m.section(n, path+".")
	case n.Kind == yaml.SequenceNode:
		return object{"type": "array"}
	case n.Tag == "!!bool":
		return object{"type": "boolean"}
	case n.Tag == "!!int":
		return object{"type": "integer"}
	case n.Tag == "!!str":
		return object{"type": "string"}
	}
	m.t.Fatalf("values.yaml:%d: %s: no kind for %s", n.Line, path, n.Tag)
	return nil
}

// secrets allows the keys that the binary marks as secrets, and parameters of storage drivers.
func (m *maker) secrets() object {
	reference := object{
		"type": "object", "additionalProperties": false, "required": []string{"name", "key"},
		"properties": object{
			"name": object{"type": "string", "minLength": 1, "description": "Name of the Secret."},
			"key":  object{"type": "string", "minLength": 1, "description": "Key in the Secret."},
		},
	}
	properties := object{}
	for _, key := range secretKeys(m.config, "") {
		properties[key] = reference
	}
	return object{
		"type": "object", "additionalProperties": false, "properties": properties,
		"patternProperties": object{`^storage\.(middleware\.)?params\.[a-z0-9]+$`: reference},
	}
}

func secretKeys(section object, prefix string) []string {
	var keys []string
	properties, _ := section["properties"].(object)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		s := properties[name].(object)
		if s["writeOnly"] == true {
			keys = append(keys, prefix+name)
		}
		keys = append(keys, secretKeys(s, prefix+name+".")...)
	}
	return keys
}

// comment is the text above a key, as one line.
func comment(n *yaml.Node) string {
	blocks := strings.Split(n.HeadComment, "\n\n")
	var words []string
	for line := range strings.Lines(blocks[len(blocks)-1]) {
		words = append(words, strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "#"))...)
	}
	return strings.Join(words, " ")
}

// TestSecretsAreRefusedInTheOpen: the chart's list of them is the binary's.
func TestSecretsAreRefusedInTheOpen(t *testing.T) {
	t.Parallel()
	for _, key := range secretKeys(configSchema(t), "") {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			refused(t, "config."+key+"=x", "set existingSecrets."+key+" to", "template", "rel", chartDir(t))
		})
	}
}
