package artifacttypes

import (
	"bytes"
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"strings"

	"github.com/packhouse/packhouse/registry"
)

// Entry is a line of a list: of packages, versions or files.
type Entry struct {
	Name   string            `json:"name"`
	Size   *int64            `json:"size,omitempty"` // of a file, in bytes
	Digest registry.Digest   `json:"digest,omitempty"`
	Sums   map[string]string `json:"sums,omitempty"`
	Files  []Entry           `json:"files,omitempty"`
}

// FileEntries are the lines of files.
func FileEntries(files []registry.File) []Entry {
	list := make([]Entry, len(files))
	for i, f := range files {
		list[i] = Entry{Name: f.Name, Size: &f.Size, Digest: f.Digest, Sums: f.Facts.Sums}
	}
	return list
}

// DocumentList answers with a document that is a JSON array of [Entry], of
// package pkg, or of the feed when that is "". Browsers get it as links.
func DocumentList(w http.ResponseWriter, r *http.Request, v View, pkg, document string) error {
	if !forBrowser(w, r) {
		return v.Document(w, r, pkg, document)
	}
	body, err := v.Bytes(r.Context(), pkg, document)
	if err != nil {
		return err
	}
	var list []Entry
	if err := json.Unmarshal(body, &list); err != nil {
		return err
	}
	for i := range list {
		list[i].Name += "/"
	}
	writePage(w, r, v.URL(), list, pkg)
	return nil
}

// WriteList is [DocumentList] for a list that is no document, below the given
// segments of the feed.
func WriteList(w http.ResponseWriter, r *http.Request, v View, list []Entry, below ...string) error {
	if !forBrowser(w, r) {
		return WriteJSON(w, r, http.StatusOK, list)
	}
	writePage(w, r, v.URL(), list, below...)
	return nil
}

func forBrowser(w http.ResponseWriter, r *http.Request) bool {
	w.Header().Add("Vary", "Accept")
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}

// writePage sends links, which are relative to base and the segments below it.
func writePage(w http.ResponseWriter, r *http.Request, base string, list []Entry, below ...string) {
	for _, segment := range below {
		base += "/" + url.PathEscape(segment)
	}
	base = html.EscapeString(strings.TrimRight(base, "/") + "/")
	var b bytes.Buffer
	b.WriteString("<!doctype html>\n<title>" + base + "</title>\n<base href=\"" + base + "\">\n")
	for _, e := range list {
		ref := url.URL{Path: e.Name}
		b.WriteString(`<li><a href="` + html.EscapeString(ref.String()) + `">` + html.EscapeString(e.Name) + "</a>\n")
	}
	WriteBody(w, r, http.StatusOK, "text/html; charset=utf-8", b.Bytes())
}
