package admin

import (
	"strings"

	"github.com/packhouse/packhouse/registry"
)

// Subjects as people write them.
const (
	everybody    = "anonymous"
	kindUser     = "user"
	kindService  = "service"
	kindGroup    = "group"
	kindWorkload = "workload"
)

// subject is somebody, or everybody, that access is about.
type subject struct{ kind, name string } // kind "" is everybody

func (s subject) String() string {
	if s.kind == "" {
		return everybody
	}
	return s.kind + ":" + s.name
}

// parseSubject reads KIND:NAME of one of the kinds, the name of a user alone,
// or, if kind "" is one of them, anonymous. It returns PARAMETER_INVALID.
func parseSubject(text string, kinds ...string) (subject, error) {
	s := subject{}
	kind, name, found := strings.Cut(text, ":")
	switch {
	case text == everybody:
	case found:
		s = subject{kind, name}
	default:
		s = subject{kindUser, text}
	}
	for _, allowed := range kinds {
		if s.kind == allowed && (s.kind == "" || s.name != "") {
			return s, nil
		}
	}
	return s, registry.E("admin", registry.ParameterInvalid, nil, "%.80q does not say who: use %s", text, kindsText(kinds))
}

func kindsText(kinds []string) string {
	var parts []string
	for _, k := range kinds {
		if k == "" {
			parts = append(parts, everybody)
			continue
		}
		parts = append(parts, k+":NAME")
	}
	return strings.Join(parts, ", ")
}
