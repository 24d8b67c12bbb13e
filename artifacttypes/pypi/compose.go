package pypi

import (
	"bytes"
	"cmp"
	"encoding/json"
	"html"
	"io"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// Keys of a package's state, PEP 792.
const (
	statusKey       = "status" // absent for active
	statusReasonKey = "status-reason"
)

const (
	statusActive      = "active"
	statusArchived    = "archived"    // takes no more files
	statusQuarantined = "quarantined" // takes and gives none
	statusDeprecated  = "deprecated"  // says so
)

const htmlTail = "</body>\n</html>\n"

// htmlHead begins a page; more is more of its head.
func htmlHead(title, more string) string {
	title = html.EscapeString(title)
	return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n" +
		"<meta name=\"pypi:repository-version\" content=\"" + apiVersion + "\">\n" + more +
		"<title>" + title + "</title>\n</head>\n<body>\n<h1>" + title + "</h1>\n"
}

// Compose renders a package's documents and its line in the list of projects;
// see [artifacttypes.Format].
func (Format) Compose(document string, p *registry.Package, from artifacttypes.Fragments, w io.Writer) error {
	switch document {
	case simpleJSON:
		return composeJSON(p, from, w)
	case simpleHTML:
		return composeHTML(p, from, w)
	case legacyJSON:
		return composeLegacy(p, from, w)
	case projectsJSON:
		return writeParts(w, `{"name":`, quoted(p.Name), `}`)
	case projectsHTML:
		return writeParts(w, `<a href="`, p.Name, `/">`, p.Name, "</a><br>\n") // letters, digits and '-'
	}
	return artifacttypes.Invalid("there is no document %q", document)
}

func composeJSON(p *registry.Package, from artifacttypes.Fragments, w io.Writer) error {
	status, err := json.Marshal(projectStatusOf(p))
	if err != nil {
		return err
	}
	err = writeParts(w, `{"meta":{"api-version":"`+apiVersion+`"},"name":`, quoted(p.Name), `,"project-status":`, string(status), `,"files":[`)
	if err != nil {
		return err
	}
	// The versions follow the files, so that one pass is enough.
	var versions bytes.Buffer
	if p.State[statusKey] != statusQuarantined {
		for fragment, err := range from.All(jsonFragment) {
			if err != nil {
				return err
			}
			if versions.Len() > 0 {
				versions.WriteByte(',')
				if _, err := io.WriteString(w, ","); err != nil {
					return err
				}
			}
			versions.WriteString(quoted(fragment.Version))
			if _, err := w.Write(fragment.Body); err != nil {
				return err
			}
		}
	}
	return writeParts(w, `],"versions":[`, versions.String(), `]}`)
}

func composeHTML(p *registry.Package, from artifacttypes.Fragments, w io.Writer) error {
	status := projectStatusOf(p)
	more := `<meta name="pypi:project-status" content="` + attribute(status.Status) + "\">\n"
	if status.Reason != "" {
		more += `<meta name="pypi:project-status-reason" content="` + attribute(status.Reason) + "\">\n"
	}
	if err := writeParts(w, htmlHead("Links for "+p.Name, more)); err != nil {
		return err
	}
	if p.State[statusKey] != statusQuarantined {
		for fragment, err := range from.All(htmlFragment) {
			if err != nil {
				return err
			}
			if _, err := w.Write(fragment.Body); err != nil {
				return err
			}
		}
	}
	return writeParts(w, htmlTail)
}

// projectStatus is PEP 792's.
type projectStatus struct {
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
}

func projectStatusOf(p *registry.Package) projectStatus {
	return projectStatus{Status: cmp.Or(p.State[statusKey], statusActive), Reason: p.State[statusReasonKey]}
}

func writeParts(w io.Writer, parts ...string) error {
	for _, part := range parts {
		if _, err := io.WriteString(w, part); err != nil {
			return err
		}
	}
	return nil
}

// quoted is a name or a version, of which no byte needs an escape in JSON.
func quoted(s string) string { return `"` + s + `"` }
