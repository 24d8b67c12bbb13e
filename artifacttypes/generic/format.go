package generic

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// Format is the format of plain files.
type Format struct{}

var _ artifacttypes.Format = Format{}

const artifactType = "application/vnd.packhouse.generic.v1"

// Info names all that is fixed.
func (Format) Info() artifacttypes.Info {
	return artifacttypes.Info{
		Name: "generic", Title: "Generic", Parser: 1, ArtifactTypes: []string{artifactType}, Clients: []string{"curl", "wget"},
		Sums: []string{"md5", "sha1", "sha256", "sha512"}, Fragments: []string{"version"},
		Documents: []artifacttypes.Document{
			{Name: "packages", Type: "application/json", Feed: true, Head: "[", Separator: ",", Tail: "]\n", Fragments: []string{"version"}},
			{Name: "versions", Type: "application/json"},
		},
		Usage: []artifacttypes.Usage{{Client: "curl", Command: "curl -T tool.bin " + artifacttypes.Base + "/tool/1.0/"}},
	}
}

// Canonical leaves names as they are: each spelling is another name.
func (Format) Canonical(pkg, version string) (string, string, error) { return pkg, version, nil }

// Repository takes any name.
func (Format) Repository(pkg string) (string, error) { return artifacttypes.EncodePath(pkg) }

// Tag takes any version.
func (Format) Tag(version string) (registry.Tag, error) { return artifacttypes.EscapeTag(version) }

// Label refuses all: a tag is a version's.
func (Format) Label(string) error { return artifacttypes.Invalid("a generic release has no labels") }

// Inspect finds nothing, since content may be anything.
func (Format) Inspect(context.Context, string, string, io.ReaderAt, int64) (json.RawMessage, error) {
	return nil, nil
}

// Describe believes the annotations, since the files say nothing.
func (Format) Describe(a registry.Artifact) (registry.Facts, error) {
	name := cmp.Or(a.Annotations[registry.AnnotationName], a.Annotations[registry.AnnotationNameHint])
	version := cmp.Or(a.Annotations[ocispec.AnnotationVersion], a.Annotations[registry.AnnotationVersionHint])
	f := registry.Facts{Package: name, Version: version}
	if len(a.Files) == 0 {
		return f, artifacttypes.Invalid("a release needs at least one file")
	}
	for _, file := range a.Files {
		if err := artifacttypes.CheckPath(append(strings.Split(file.Name, "/"), f.Package, f.Version)...); err != nil {
			return f, err
		}
	}
	return f, nil
}

// Envelope has the empty config: all there is to say are names.
func (Format) Envelope(f registry.Facts, _ []registry.File) artifacttypes.Envelope {
	return artifacttypes.Envelope{ArtifactType: artifactType, Annotations: map[string]string{
		ocispec.AnnotationTitle: f.Package, registry.AnnotationFormat: "generic",
		registry.AnnotationPurl: "pkg:generic/" + url.QueryEscape(f.Package) + "@" + url.QueryEscape(f.Version),
	}}
}

// Fragment is one element of the document "versions".
func (Format) Fragment(_ string, r *registry.Release, w *bytes.Buffer) error {
	return json.NewEncoder(w).Encode(artifacttypes.Entry{Name: r.Version, Files: artifacttypes.FileEntries(r.Files)})
}

// Compose is that document, or one element of "packages".
func (Format) Compose(document string, p *registry.Package, from artifacttypes.Fragments, w io.Writer) error {
	if document == "packages" {
		return json.NewEncoder(w).Encode(artifacttypes.Entry{Name: p.Name})
	}
	var versions [][]byte
	for f, err := range from.All("version") {
		if err != nil {
			return err
		}
		versions = append(versions, f.Body)
	}
	_, err := fmt.Fprintf(w, "[%s]\n", bytes.Join(versions, []byte(",")))
	return err
}

// Routes is the protocol.
func (Format) Routes() []artifacttypes.Route {
	const get, put, del, file = http.MethodGet, http.MethodPut, http.MethodDelete, "/{name}/{version}/{file...}"
	return []artifacttypes.Route{
		{Name: "packages", Method: get, Pattern: "/", Verb: registry.List, Serve: list},
		{Name: "versions", Method: get, Pattern: "/{name}", Verb: registry.Read, Serve: list},
		{Name: "versions", Method: get, Pattern: "/{name}/", Verb: registry.Read, Serve: list},
		{Name: "files", Method: get, Pattern: "/{name}/{version}", Verb: registry.Read, Serve: list},
		{Name: "files", Method: get, Pattern: "/{name}/{version}/", Verb: registry.Read, Serve: list},
		{Name: "download", Method: get, Pattern: file, Verb: registry.Read, Serve: download},
		{Name: "upload", Method: put, Pattern: file, Verb: registry.Create, Serve: upload},
		{Name: "withdraw", Method: del, Pattern: "/{name}/{version}", Verb: registry.Withdraw, Serve: withdraw},
		{Name: "withdraw", Method: del, Pattern: file, Verb: registry.Withdraw, Serve: withdraw},
	}
}

// WriteError says it in a line of text.
func (Format) WriteError(w http.ResponseWriter, r *http.Request, e *registry.Error) {
	artifacttypes.WriteBody(w, r, artifacttypes.ErrorHeader(w, e), "text/plain; charset=utf-8", []byte(cmp.Or(e.Message, string(e.Code))+"\n"))
}

func list(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	name, version := r.PathValue("name"), r.PathValue("version")
	switch {
	case name == "":
		return artifacttypes.DocumentList(w, r, v, "", "packages")
	case version == "":
		return artifacttypes.DocumentList(w, r, v, name, "versions")
	}
	rel, err := v.Release(r.Context(), name, version)
	if err != nil {
		return err
	}
	return artifacttypes.WriteList(w, r, v, artifacttypes.FileEntries(rel.Files), name, version)
}

func download(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	rel, f, err := artifacttypes.FindFile(r.Context(), v, r.PathValue("name"), r.PathValue("version"), r.PathValue("file"))
	if err != nil {
		return err
	}
	artifacttypes.SetFile(w.Header(), f)
	w.Header().Set("Content-Disposition", "attachment")
	return v.Serve(w, r, rel, f)
}

func upload(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	condition := artifacttypes.FileCondition{File: r.PathValue("file"), Condition: artifacttypes.Precondition(r.Header)}
	d := artifacttypes.Draft{Package: r.PathValue("name"), Version: r.PathValue("version"), If: condition}
	if err := artifacttypes.CheckPath(append(strings.Split(d.If.File, "/"), d.Package, d.Version)...); err != nil {
		return err
	}
	if err := v.Account().Allow(r.Context(), registry.Create, d.Package); err != nil {
		return err
	}
	// What is refused now, a client that waits for 100 Continue need not send. Publish decides.
	_, present, _ := artifacttypes.FindFile(r.Context(), v, d.Package, d.Version, d.If.File)
	if err := d.If.Check("generic.upload", d.If.File, present.Digest); err != nil {
		return err
	}
	file, err := artifacttypes.Receive(r, v, d.If.File)
	if err != nil {
		return err
	}
	defer file.Content.Discard()
	d.Files = []artifacttypes.DraftFile{file}
	rel, err := v.Publish(r.Context(), d)
	if err != nil {
		return err
	}
	f, _ := rel.File(file.Name)
	return artifacttypes.WriteUploaded(w, r, f, present.Digest == "")
}

// withdraw takes a version away: one of its files alone, only if it has no other.
func withdraw(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	if err := v.Account().Allow(r.Context(), registry.Withdraw, r.PathValue("name")); err != nil {
		return err
	}
	if r.PathValue("file") != "" {
		rel, f, err := artifacttypes.FindFile(r.Context(), v, r.PathValue("name"), r.PathValue("version"), r.PathValue("file"))
		if err != nil {
			return err
		}
		if len(rel.Files) > 1 {
			return registry.E("generic.withdraw", registry.Conflict, nil, "%s is not the only file of version %s, and a release goes as a whole: delete the version", f.Name, rel.Version)
		}
	}
	if err := v.Change(r.Context(), r.PathValue("name"), registry.WithdrawVersion{Version: r.PathValue("version")}); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
