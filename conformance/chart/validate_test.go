package chart

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	goyaml "go.yaml.in/yaml/v3"
	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	gateway "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/packhouse/packhouse/conformance/rig"
)

// manifests are what one rendering holds.
type manifests struct {
	ConfigMap  core.ConfigMap
	Deployment apps.Deployment
	Test       core.Pod
	Services   []core.Service
	Claim      *core.PersistentVolumeClaim
	Account    *core.ServiceAccount
	Budget     *policy.PodDisruptionBudget
	Scaler     *autoscaling.HorizontalPodAutoscaler
	Network    *networking.NetworkPolicy
	Ingress    *networking.Ingress
	Route      *gateway.HTTPRoute
	Monitor    *monitoring.ServiceMonitor
}

// documents splits a stream of YAML documents.
func documents(t *testing.T, stream string) [][]byte {
	t.Helper()
	var list [][]byte
	dec := goyaml.NewDecoder(strings.NewReader(stream))
	for {
		var doc goyaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := goyaml.Marshal(&doc)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, text)
	}
}

// decode decodes every manifest strictly: an unknown or repeated field, or a value of the wrong kind, is an error.
func decode(t *testing.T, rendered string) *manifests {
	t.Helper()
	m := &manifests{}
	for _, doc := range documents(t, rendered) {
		var kind meta.TypeMeta
		if err := yaml.Unmarshal(doc, &kind); err != nil {
			t.Fatal(err)
		}
		if err := yaml.UnmarshalStrict(doc, m.place(kind)); err != nil {
			t.Errorf("%s: %v", kind.Kind, err)
		}
	}
	return m
}

// place is where a manifest of that kind goes.
func (m *manifests) place(kind meta.TypeMeta) any {
	switch kind.APIVersion + " " + kind.Kind {
	case "v1 ConfigMap":
		return &m.ConfigMap
	case "apps/v1 Deployment":
		return &m.Deployment
	case "v1 Pod":
		return &m.Test
	case "v1 Service":
		m.Services = append(m.Services, core.Service{})
		return &m.Services[len(m.Services)-1]
	case "v1 PersistentVolumeClaim":
		return fill(&m.Claim)
	case "v1 ServiceAccount":
		return fill(&m.Account)
	case "policy/v1 PodDisruptionBudget":
		return fill(&m.Budget)
	case "autoscaling/v2 HorizontalPodAutoscaler":
		return fill(&m.Scaler)
	case "networking.k8s.io/v1 NetworkPolicy":
		return fill(&m.Network)
	case "networking.k8s.io/v1 Ingress":
		return fill(&m.Ingress)
	case "gateway.networking.k8s.io/v1 HTTPRoute":
		return fill(&m.Route)
	case "monitoring.coreos.com/v1 ServiceMonitor":
		return fill(&m.Monitor)
	}
	return &struct{ unknown string }{} // no field fits: the strict decoder says so
}

func fill[T any](p **T) *T {
	*p = new(T)
	return *p
}

// TestSchemas: what Kubernetes would refuse by its own schemas is not rendered.
func TestSchemas(t *testing.T) {
	t.Parallel()
	validate, _ := rig.Tool(t, "kubernetes-validate")
	dir := t.TempDir()
	want := 0
	var files []string
	for _, name := range cases(t) {
		var known bytes.Buffer
		for _, doc := range documents(t, render(t, valuesOf(t, name)...)) {
			// The types of these two are not Kubernetes' own; decode is strict about them.
			if bytes.Contains(doc, []byte("kind: HTTPRoute\n")) || bytes.Contains(doc, []byte("kind: ServiceMonitor\n")) {
				continue
			}
			fmt.Fprintf(&known, "---\n%s", doc)
			want++
		}
		file := filepath.Join(dir, name+".yaml")
		if err := os.WriteFile(file, known.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	for _, version := range []string{oldest, newest} {
		args := append([]string{validate, "--strict", "--kubernetes-version=" + version}, files...)
		_, said, err := rig.Command(t, dir, rig.Environment(t, dir), args...)
		if passed := strings.Count(said, " passed for resource "); err != nil || passed != want {
			t.Errorf("Kubernetes %s: %d of %d manifests are valid (%v)", version, passed, want, err)
		}
	}
}
