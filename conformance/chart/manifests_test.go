package chart

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	security "k8s.io/pod-security-admission/policy"

	"github.com/packhouse/packhouse/conformance/rig"
)

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
