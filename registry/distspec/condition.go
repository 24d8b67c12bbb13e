package distspec

import (
	"net/http"
	"strings"

	"github.com/packhouse/packhouse/registry"
)

// condition reads If-Match and If-None-Match for a write. Its entity tags are
// quoted digests. A weak tag never matches: the comparison is the strong one.
func condition(h http.Header) (registry.Condition, error) {
	var c registry.Condition
	var err error
	if list := h["If-Match"]; list != nil {
		if c.Match, err = entityTags("If-Match", list); err != nil {
			return c, err
		}
	}
	if list := h["If-None-Match"]; list != nil {
		c.NoneMatch, err = entityTags("If-None-Match", list)
	}
	return c, err
}

// entityTags returns at least one element or an error, since a Condition
// without any would always hold.
func entityTags(name string, fields []string) ([]string, error) {
	var tags []string
	rest := strings.Trim(strings.Join(fields, ","), " \t")
	if rest == "*" {
		return []string{"*"}, nil
	}
	for rest != "" {
		weak := strings.HasPrefix(rest, "W/")
		rest = strings.TrimPrefix(rest, "W/")
		body, ok := strings.CutPrefix(rest, `"`)
		tag, after, closed := strings.Cut(body, `"`)
		if !ok || !closed {
			tags = nil
			break
		}
		if weak {
			tag = "W/" + tag
		} else if tag == "*" {
			tag = `"*"` // not the wildcard
		}
		tags = append(tags, tag)
		rest = strings.TrimLeft(after, " \t")
		if rest != "" && rest[0] != ',' {
			tags = nil
			break
		}
		rest = strings.TrimLeft(rest, ", \t")
	}
	if len(tags) == 0 {
		return nil, registry.E("distspec.condition", queryInvalid, nil, "%s is not well-formed: want * or digests in double quotes", name)
	}
	return tags, nil
}
