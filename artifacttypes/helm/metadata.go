package helm

import (
	"reflect"
	"regexp"
	"strings"
	"unicode"

	"github.com/Masterminds/semver/v3"

	"github.com/packhouse/packhouse/artifacttypes"
)

// metadata is Chart.yaml: all fields that Helm knows, in Helm's order, so that
// a chart's config is the same bytes from here as from Helm.
type metadata struct {
	Name         string            `json:"name,omitempty"`
	Home         string            `json:"home,omitempty"`
	Sources      []string          `json:"sources,omitempty"`
	Version      string            `json:"version,omitempty"`
	Description  string            `json:"description,omitempty"`
	Keywords     []string          `json:"keywords,omitempty"`
	Maintainers  []*maintainer     `json:"maintainers,omitempty"`
	Icon         string            `json:"icon,omitempty"`
	APIVersion   string            `json:"apiVersion,omitempty"`
	Condition    string            `json:"condition,omitempty"`
	Tags         string            `json:"tags,omitempty"`
	AppVersion   string            `json:"appVersion,omitempty"`
	Deprecated   bool              `json:"deprecated,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	KubeVersion  string            `json:"kubeVersion,omitempty"`
	Dependencies []*dependency     `json:"dependencies,omitempty"`
	Type         string            `json:"type,omitempty"`
}

type maintainer struct {
	Name  string `json:"name,omitempty"`
	Email string `json:"email,omitempty"`
	URL   string `json:"url,omitempty"`
}

type dependency struct {
	Name         string   `json:"name"`
	Version      string   `json:"version,omitempty"`
	Repository   string   `json:"repository"`
	Condition    string   `json:"condition,omitempty"`
	Tags         []string `json:"tags,omitempty"`
	Enabled      bool     `json:"enabled,omitempty"`
	ImportValues []any    `json:"import-values,omitempty"`
	Alias        string   `json:"alias,omitempty"`
}

var aliasForm = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)

// check refuses what Helm refuses to load, and cleans texts as Helm does. It
// returns MANIFEST_INVALID.
func (m *metadata) check() error {
	if m.APIVersion == "" {
		m.APIVersion = "v1" // Helm 2 wrote none
	}
	for _, text := range []*string{&m.Name, &m.Description, &m.Home, &m.Icon, &m.Condition, &m.Tags, &m.AppVersion, &m.KubeVersion} {
		*text = printable(*text)
	}
	printables(m.Sources)
	printables(m.Keywords)
	if err := checkName(m.Name); err != nil {
		return err
	}
	if err := checkVersion(m.Version); err != nil {
		return err
	}
	switch m.Type {
	case "", "application", "library":
	default:
		return artifacttypes.Invalid("Chart.yaml has type %.80q: it must be application or library", m.Type)
	}
	for _, one := range m.Maintainers {
		if one == nil {
			return artifacttypes.Invalid("Chart.yaml has an empty element in maintainers")
		}
		one.Name, one.Email, one.URL = printable(one.Name), printable(one.Email), printable(one.URL)
	}
	return checkDependencies(m.Dependencies)
}

func checkDependencies(list []*dependency) error {
	seen := map[string]bool{}
	for _, d := range list {
		if d == nil {
			return artifacttypes.Invalid("Chart.yaml has an empty element in dependencies")
		}
		for _, text := range []*string{&d.Name, &d.Version, &d.Repository, &d.Condition} {
			*text = printable(*text)
		}
		printables(d.Tags)
		key := d.Name
		if d.Alias != "" {
			if key = d.Alias; !aliasForm.MatchString(key) {
				return artifacttypes.Invalid("Chart.yaml has the dependency alias %.80q: it may contain letters, digits, '_' and '-'", key)
			}
		}
		if seen[key] {
			return artifacttypes.Invalid("Chart.yaml has two dependencies called %.80q: give one an alias", key)
		}
		seen[key] = true
	}
	return nil
}

func checkName(name string) error {
	if name == "" {
		return artifacttypes.Invalid("Chart.yaml has no name")
	}
	return artifacttypes.CheckPath(name)
}

// checkVersion accepts what Helm accepts: semantic versions, and those that
// lack parts or have a leading v.
func checkVersion(version string) error {
	const longest = 200 // bytes: a file's name holds it with the chart's
	if version == "" {
		return artifacttypes.Invalid("Chart.yaml has no version")
	}
	if _, err := semver.NewVersion(version); err != nil || len(version) > longest {
		return artifacttypes.Invalid("Chart.yaml has version %.80q, which is no semantic version such as 1.2.3", version)
	}
	return nil
}

// printable has a space for each white character, and none that cannot be
// printed.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsPrint(r):
			return r
		}
		return -1
	}, s)
}

func printables(list []string) {
	for i, s := range list {
		list[i] = printable(s)
	}
}

// empty tells whether m says nothing.
func (m *metadata) empty() bool { return reflect.ValueOf(*m).IsZero() }
