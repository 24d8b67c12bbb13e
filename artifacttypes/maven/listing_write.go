package maven

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// writeListing answers with a page, or with JSON to whom asks for it. Links
// are absolute, so that the path works with and without a slash at its end.
func writeListing(w http.ResponseWriter, r *http.Request, base string, dir []string, entries []listed) error {
	path := "/" + strings.Join(append(slices.Clone(dir), ""), "/")
	link := base + (&url.URL{Path: path}).EscapedPath()
	w.Header().Add("Vary", "Accept")
	if wantsJSON(r.Header) {
		body, err := json.Marshal(struct {
			Path    string   `json:"path"`
			Entries []listed `json:"entries"`
		}{path, entries})
		if err != nil {
			return err
		}
		return writeGenerated(w, r, "application/json", body)
	}
	var b bytes.Buffer
	title := html.EscapeString(path)
	fmt.Fprintf(&b, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>%s</title>\n</head>\n<body>\n<h1>%s</h1>\n<table>\n", title, title)
	if len(dir) > 0 {
		parent := base + (&url.URL{Path: strings.TrimSuffix(path, dir[len(dir)-1]+"/")}).EscapedPath()
		fmt.Fprintf(&b, "<tr><td><a href=\"%s\">../</a></td></tr>\n", html.EscapeString(parent))
	}
	for _, e := range entries {
		name, isDir := strings.CutSuffix(e.Name, "/")
		href := link + url.PathEscape(name)
		if isDir {
			href += "/"
		}
		size, modified := "", ""
		if e.SHA256 != "" || e.generated {
			size = fmt.Sprint(e.Size)
		}
		if e.Modified != nil {
			modified = e.Modified.UTC().Format("2006-01-02 15:04")
		}
		fmt.Fprintf(&b, "<tr><td><a href=\"%s\">%s</a></td><td>%s</td><td>%s</td></tr>\n", html.EscapeString(href), html.EscapeString(e.Name), modified, size)
	}
	b.WriteString("</table>\n</body>\n</html>\n")
	return writeGenerated(w, r, "text/html; charset=utf-8", b.Bytes())
}

// wantsJSON tells whether a client asks for JSON and not for a page.
func wantsJSON(h http.Header) bool {
	accept := strings.Join(h.Values("Accept"), ",")
	return strings.Contains(accept, "json") && !strings.Contains(accept, "text/html")
}
