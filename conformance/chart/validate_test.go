package chart

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
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
	"k8s.io/pod-security-admission/api"
	security "k8s.io/pod-security-admission/policy"
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

// TestManifests: they fit the types of their APIs and one another.
func TestManifests(t *testing.T) {
	t.Parallel()
	for _, name := range cases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := decode(t, render(t, valuesOf(t, name)...))
			pod := m.Deployment.Spec.Template
			restricted(t, "pod", pod.ObjectMeta, pod.Spec)
			restricted(t, "test", m.Test.ObjectMeta, m.Test.Spec)
			m.references(t)
			m.selectors(t)
			m.replicas(t)
		})
	}
}

// restricted asks Kubernetes' own checks for the strictest of the Pod Security Standards.
func restricted(t *testing.T, what string, m meta.ObjectMeta, spec core.PodSpec) {
	t.Helper()
	evaluator, err := security.NewEvaluator(security.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	for _, r := range evaluator.EvaluatePod(level, &m, &spec) {
		if !r.Allowed {
			t.Errorf("%s: %s: %s", what, r.ForbiddenReason, r.ForbiddenDetail)
		}
	}
	if spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken {
		t.Errorf("%s: it is given a token for Kubernetes", what)
	}
	for _, c := range spec.Containers {
		if s := c.SecurityContext; s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem {
			t.Errorf("%s: its root file system can be written", what)
		}
	}
}

// references follows every name to what it names.
func (m *manifests) references(t *testing.T) {
	t.Helper()
	spec := m.Deployment.Spec.Template.Spec
	c := spec.Containers[0]
	ports := map[string]int32{}
	for _, p := range c.Ports {
		ports[p.Name] = p.ContainerPort
	}
	volumes := map[string]core.Volume{}
	for _, v := range spec.Volumes {
		volumes[v.Name] = v
		if v.ConfigMap != nil {
			rig.Equal(t, "volume "+v.Name, v.ConfigMap.Name, m.ConfigMap.Name)
		}
		if v.PersistentVolumeClaim != nil && m.Claim != nil {
			rig.Equal(t, "volume "+v.Name, v.PersistentVolumeClaim.ClaimName, m.Claim.Name)
		}
	}
	for _, mount := range c.VolumeMounts {
		if _, ok := volumes[mount.Name]; !ok {
			t.Errorf("no volume is called %s", mount.Name)
		}
		delete(volumes, mount.Name)
	}
	for name := range volumes {
		t.Errorf("nothing mounts the volume %s", name)
	}
	for _, p := range []*core.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
		if ports[p.HTTPGet.Port.String()] == 0 {
			t.Errorf("a probe asks at port %s, which the container does not have", p.HTTPGet.Port.String())
		}
	}
	served := map[string]bool{}
	for _, s := range m.Services {
		for _, p := range s.Spec.Ports {
			if ports[p.TargetPort.String()] == 0 {
				t.Errorf("Service %s leads to port %s, which the container does not have", s.Name, p.TargetPort.String())
			}
			served[fmt.Sprintf("%s:%d", s.Name, p.Port)] = true
		}
	}
	for _, to := range m.backends() {
		if !served[to] {
			t.Errorf("no Service is at %s, there are %v", to, served)
		}
	}
	if m.Account != nil {
		rig.Equal(t, "service account", spec.ServiceAccountName, m.Account.Name)
	}
	if m.Scaler != nil {
		rig.Equal(t, "what is scaled", m.Scaler.Spec.ScaleTargetRef.Name, m.Deployment.Name)
	}
}

// backends are the SERVICE:PORT that something leads to.
func (m *manifests) backends() (list []string) {
	_, server, _ := strings.Cut(strings.Join(m.Test.Spec.Containers[0].Args, " "), "--server=http://")
	list = append(list, server)
	if m.Ingress != nil {
		for _, r := range m.Ingress.Spec.Rules {
			for _, p := range r.HTTP.Paths {
				list = append(list, fmt.Sprintf("%s:%d", p.Backend.Service.Name, p.Backend.Service.Port.Number))
			}
		}
	}
	if m.Route != nil {
		for _, r := range m.Route.Spec.Rules {
			for _, b := range r.BackendRefs {
				list = append(list, fmt.Sprintf("%s:%d", b.Name, *b.Port))
			}
		}
	}
	return list
}

// selectors: everything that selects pods selects the registry's, and not the test's.
func (m *manifests) selectors(t *testing.T) {
	t.Helper()
	selectors := map[string]*meta.LabelSelector{"Deployment": m.Deployment.Spec.Selector}
	for _, s := range m.Services {
		selectors["Service "+s.Name] = &meta.LabelSelector{MatchLabels: s.Spec.Selector}
	}
	if m.Budget != nil {
		selectors["PodDisruptionBudget"] = m.Budget.Spec.Selector
	}
	if m.Network != nil {
		selectors["NetworkPolicy"] = &m.Network.Spec.PodSelector
	}
	for i, c := range m.Deployment.Spec.Template.Spec.TopologySpreadConstraints {
		if c.LabelSelector != nil {
			selectors[fmt.Sprintf("spread %d", i)] = c.LabelSelector
		}
	}
	for what, s := range selectors {
		if !selects(t, s, m.Deployment.Spec.Template.Labels) || selects(t, s, m.Test.Labels) {
			t.Errorf("%s selects %v", what, s.MatchLabels)
		}
	}
	if m.Monitor != nil {
		scraped := slices.DeleteFunc(slices.Clone(m.Services), func(s core.Service) bool { return !selects(t, &m.Monitor.Spec.Selector, s.Labels) })
		if len(scraped) != 1 || scraped[0].Spec.Ports[0].Name != m.Monitor.Spec.Endpoints[0].Port {
			t.Errorf("the ServiceMonitor finds %d Services", len(scraped))
		}
	}
}

func selects(t *testing.T, s *meta.LabelSelector, labels map[string]string) bool {
	t.Helper()
	selector, err := meta.LabelSelectorAsSelector(s)
	if err != nil {
		t.Fatal(err)
	}
	return selector.Matches(set(labels))
}

// set is a set of labels.
type set map[string]string

func (s set) Has(name string) bool              { _, ok := s[name]; return ok }
func (s set) Get(name string) string            { return s[name] }
func (s set) Lookup(name string) (string, bool) { v, ok := s[name]; return v, ok }

// replicas: what is shared by pods can be.
func (m *manifests) replicas(t *testing.T) {
	t.Helper()
	several := m.Scaler != nil || *m.Deployment.Spec.Replicas > 1
	rig.Equal(t, "a PodDisruptionBudget", m.Budget != nil, several)
	if several && m.Deployment.Spec.Strategy.Type != apps.RollingUpdateDeploymentStrategyType {
		t.Errorf("several pods are replaced by %s", m.Deployment.Spec.Strategy.Type)
	}
	for _, v := range m.Deployment.Spec.Template.Spec.Volumes {
		if !several || v.PersistentVolumeClaim == nil {
			continue
		}
		if v.Name == "data" || m.Claim == nil || !slices.Contains(m.Claim.Spec.AccessModes, core.ReadWriteMany) {
			t.Errorf("several pods write the volume %s", v.Name)
		}
	}
	// SIGTERM, the delay, the drain, and time to close the database.
	grace := m.Deployment.Spec.Template.Spec.TerminationGracePeriodSeconds
	if grace == nil {
		t.Fatal("nothing says how long a pod may take to end")
	}
	if *grace < 50 {
		t.Errorf("a pod is killed %d s after it was told to end", *grace)
	}
}
