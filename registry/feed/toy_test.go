package feed_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// toy is a format of text files. The first line of each is "NAME VERSION" or
// "bad".
type toy struct{}

const toyType = "application/vnd.packhouse.toy.v1"

func (toy) Info() artifacttypes.Info {
	return artifacttypes.Info{
		Name: "toy", Title: "toy", Parser: 1, ArtifactTypes: []string{toyType}, Sums: []string{"sha1"},
		Fragments: []string{"line", "name"},
		Documents: []artifacttypes.Document{
			{Name: "package", Type: "text/plain"},
			{Name: "index", Type: "text/plain", Feed: true, Head: "[", Separator: ",", Tail: "]", Fragments: []string{"name"}},
		},
		Settings: []artifacttypes.Setting{{Key: "greeting", Default: "hello"}},
		Usage:    []artifacttypes.Usage{{Client: "toy", Command: "toy use " + artifacttypes.Base + "/"}},
	}
}

func (toy) Canonical(pkg, version string) (string, string, error) {
	return strings.ToLower(pkg), version, nil
}
func (toy) Repository(pkg string) (string, error)    { return artifacttypes.EncodePath(pkg) }
func (toy) Tag(version string) (registry.Tag, error) { return artifacttypes.EscapeTag(version) }

func (toy) Label(label string) error {
	if label == "stable" || label == "next" {
		return nil
	}
	return artifacttypes.Invalid("a label is stable or next")
}

func (toy) Inspect(_ context.Context, _, _ string, r io.ReaderAt, size int64) (json.RawMessage, error) {
	content, err := io.ReadAll(io.NewSectionReader(r, 0, min(size, 1000)))
	if err != nil {
		return nil, err
	}
	line, _, _ := strings.Cut(string(content), "\n")
	if line == "bad" {
		return nil, artifacttypes.Invalid("the content is bad")
	}
	return json.Marshal(line)
}

func (toy) Describe(a registry.Artifact) (f registry.Facts, err error) {
	for _, file := range a.Files {
		var line string
		if err := json.Unmarshal(file.Facts.Native, &line); err != nil {
			return f, err
		}
		if line == "part" {
			continue
		}
		if _, err := fmt.Sscanf(line, "%s %s", &f.Package, &f.Version); err != nil {
			return f, artifacttypes.Invalid("no name and version in the first line")
		}
	}
	if f.Package == "" {
		f.Package, f.Version = a.Annotations[registry.AnnotationName], a.Annotations["org.opencontainers.image.version"]
		f.Incomplete = true
	}
	if f.Package == "" {
		return f, artifacttypes.Invalid("no file says what package it is")
	}
	f.Description = "the package " + f.Package
	return f, nil
}

func (toy) Envelope(f registry.Facts, files []registry.File) artifacttypes.Envelope {
	return artifacttypes.Envelope{
		ArtifactType: toyType, ConfigType: "application/vnd.packhouse.toy.config.v1+json", Config: fmt.Appendf(nil, `{"files":%d}`, len(files)),
	}
}

func (toy) Fragment(kind string, r *registry.Release, w *bytes.Buffer) error {
	if kind == "name" {
		w.WriteString(r.Package)
		return nil
	}
	fmt.Fprintf(w, "%s %s", r.Version, artifacttypes.Base)
	for _, f := range r.Files {
		fmt.Fprintf(w, " %s=%s", f.Name, f.Facts.Sums["sha1"][:8])
	}
	if r.State["note"] != "" {
		fmt.Fprintf(w, " note=%s", r.State["note"])
	}
	w.WriteString("\n")
	return nil
}

func (toy) Compose(document string, p *registry.Package, from artifacttypes.Fragments, w io.Writer) error {
	kind := "line"
	if document == "index" {
		kind = "name"
	} else if _, err := fmt.Fprintf(w, "%s stable=%s\n", p.Name, p.Labels["stable"]); err != nil {
		return err
	}
	for f, err := range from.All(kind) {
		if err != nil {
			return err
		}
		if _, err := w.Write(f.Body); err != nil || document == "index" {
			return err
		}
	}
	return nil
}

func (toy) SignedText(r *registry.Release) []byte { return []byte(r.Package + "@" + r.Version) }

func (toy) Routes() []artifacttypes.Route {
	return []artifacttypes.Route{
		{Name: "index", Method: http.MethodGet, Pattern: "/", Verb: registry.List, Serve: func(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
			return v.Document(w, r, "", "index")
		}},
		{Name: "package", Method: http.MethodGet, Pattern: "/{pkg}/", Verb: registry.Read, Serve: func(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
			return v.Document(w, r, r.PathValue("pkg"), "package")
		}},
		{Name: "file", Method: http.MethodGet, Pattern: "/{pkg}/{version}/{file...}", Verb: registry.Read, Serve: serveFile},
		{Name: "publish", Method: http.MethodPut, Pattern: "/{pkg}/{version}/{file...}", Verb: registry.Create, Serve: putFile},
		{Name: "withdraw", Method: http.MethodDelete, Pattern: "/{pkg}/{version}", Verb: registry.Withdraw, Serve: func(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
			return v.Change(r.Context(), r.PathValue("pkg"), registry.WithdrawVersion{Version: r.PathValue("version")})
		}},
		{Name: "note", Method: http.MethodPost, Pattern: "/{pkg}/{version}", Verb: registry.Label, Serve: func(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
			return v.Change(r.Context(), r.PathValue("pkg"), registry.SetState{Version: r.PathValue("version"), Key: "note", Value: r.URL.Query().Get("note")})
		}},
	}
}

func serveFile(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	rel, err := v.Release(r.Context(), r.PathValue("pkg"), r.PathValue("version"))
	if err != nil {
		return err
	}
	f, ok := rel.File(r.PathValue("file"))
	if !ok {
		return registry.E("toy", registry.BlobUnknown, nil, "no such file")
	}
	return v.Serve(w, r, rel, f)
}

func putFile(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	st, err := v.Stage(r.Context(), r.Body)
	if err != nil {
		return err
	}
	defer st.Discard()
	d := artifacttypes.Draft{
		Package: r.PathValue("pkg"), Version: r.PathValue("version"), New: r.URL.Query().Has("new"),
		Files: []artifacttypes.DraftFile{{Name: r.PathValue("file"), MediaType: "text/plain", Content: st}},
	}
	if l := r.URL.Query().Get("label"); l != "" {
		d.Labels = []string{l}
	}
	if _, err := v.Publish(r.Context(), d); err != nil {
		return err
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

func (toy) WriteError(w http.ResponseWriter, r *http.Request, e *registry.Error) {
	artifacttypes.WriteBody(w, r, artifacttypes.ErrorHeader(w, e), "text/plain", []byte(e.Message))
}
