package maven

import (
	"io"
	"strings"

	"github.com/packhouse/packhouse/artifacttypes"
)

// pom is what a POM says of the release. Inheritance is not followed: parents
// are other releases. Only coordinates come from the parent element.
type pom struct {
	coords             // as written, with expressions; the parent's where the POM has none
	Packaging   string `json:"packaging,omitempty"` // "jar" where it is not said
	Name        string `json:"name,omitempty"`
	Description string `json:"description,omitempty"`
	URL         string `json:"url,omitempty"`
	License     string `json:"license,omitempty"` // SPDX expression, of what is known
}

const maxSummary = 2 << 10 // bytes of a description that are kept

// parsePOM reads https://maven.apache.org/xsd/maven-4.0.0.xsd and its later
// versions. It returns MANIFEST_INVALID.
func parsePOM(name string, r io.Reader, size int64) (*pom, error) {
	if size > maxDocument {
		return nil, artifacttypes.Invalid("%s has %d bytes: a POM has at most %d", name, size, maxDocument)
	}
	x := newXMLReader(name, r)
	if err := x.root("project"); err != nil {
		return nil, err
	}
	var p pom
	var parent coords
	var licenses []string
	seen := map[string]bool{}
	err := x.children(func(element string) error {
		var target *string
		switch element {
		case "groupId":
			target = &p.Group
		case "artifactId":
			target = &p.Artifact
		case "version":
			target = &p.Version
		case "packaging":
			target = &p.Packaging
		case "name":
			target = &p.Name
		case "description":
			target = &p.Description
		case "url":
			target = &p.URL
		case "parent", "licenses":
		default:
			return x.skip()
		}
		if seen[element] {
			return artifacttypes.Invalid("%s has two <%s> elements in <project>", name, element)
		}
		seen[element] = true
		switch element {
		case "parent":
			return parent.read(x)
		case "licenses":
			return readLicenses(x, &licenses)
		}
		var err error
		*target, err = x.text()
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := x.finish(); err != nil {
		return nil, err
	}
	if p.Group == "" {
		p.Group = parent.Group
	}
	if p.Version == "" {
		p.Version = parent.Version
	}
	for what, value := range p.all() {
		if value == "" {
			return nil, artifacttypes.Invalid("%s has no <%s>, in <project> or in <parent>", name, what)
		}
	}
	p.Name, p.URL = summary(p.Name), summary(p.URL)
	p.Description = summary(p.Description)
	p.License = spdx(licenses)
	return &p, nil
}

// read reads an element with the three coordinates.
func (c *coords) read(x *xmlReader) error {
	return x.children(func(element string) (err error) {
		switch element {
		case "groupId":
			c.Group, err = x.text()
		case "artifactId":
			c.Artifact, err = x.text()
		case "version":
			c.Version, err = x.text()
		default:
			err = x.skip()
		}
		return err
	})
}

// all yields the names of the coordinates in POMs, and their values.
func (c coords) all() func(yield func(string, string) bool) {
	return func(yield func(string, string) bool) {
		_ = yield("groupId", c.Group) && yield("artifactId", c.Artifact) && yield("version", c.Version)
	}
}

// readLicenses appends name and URL of each license.
func readLicenses(x *xmlReader, to *[]string) error {
	return x.children(func(string) error {
		var name, url string
		err := x.children(func(element string) (err error) {
			switch element {
			case "name":
				name, err = x.text()
			case "url":
				url, err = x.text()
			default:
				err = x.skip()
			}
			return err
		})
		if len(*to) < 2*maxLicenses {
			*to = append(*to, name, url)
		}
		return err
	})
}

// summary is s on one line and not too long.
func summary(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > maxSummary {
		s = strings.ToValidUTF8(s[:maxSummary], "") + "…"
	}
	return s
}

// matches tells whether value can be what a POM's text stands for: the same,
// or, since expressions such as ${revision} may be set on a command line, one
// that has the literal parts around them.
func matches(text, value string) bool {
	literal, rest, found := strings.Cut(text, "${")
	if !found {
		return text == value
	}
	value, ok := strings.CutPrefix(value, literal)
	if !ok {
		return false
	}
	_, rest, _ = strings.Cut(rest, "}")
	for {
		literal, tail, more := strings.Cut(rest, "${")
		if !more {
			return strings.HasSuffix(value, literal)
		}
		_, after, ok := strings.Cut(value, literal)
		if !ok {
			return false
		}
		value = after
		_, rest, _ = strings.Cut(tail, "}")
	}
}

func hasExpression(c coords) bool { return strings.Contains(c.Group+c.Artifact+c.Version, "${") }
