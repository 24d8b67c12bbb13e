package typetest

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/distspec"
	"github.com/packhouse/packhouse/registry/engine"
	"github.com/packhouse/packhouse/registry/feed"
	"github.com/packhouse/packhouse/registry/seal"
	"github.com/packhouse/packhouse/storage/blob"
	"github.com/packhouse/packhouse/storage/meta"
	"github.com/packhouse/packhouse/storage/meta/metatest"
)

// Place is a registry with one format, served over HTTP on loopback: its feed's
// protocol and the OCI API.
type Place struct {
	T      *testing.T
	Engine *engine.Engine
	URL    string // of the server, without a trailing slash
	Format artifacttypes.Format
	dir    string
	url    string  // of the database, "" for SQLite in dir
	people *People // nil if it is open
	token  string  // sent with each request, "" for none
}

// Namespace is where tests publish.
const Namespace = "acme"

// Open starts a registry that is open to everybody and ends with the test.
func Open(t *testing.T, f artifacttypes.Format) *Place {
	t.Helper()
	gate := registry.GateFunc(func(context.Context, registry.Verb, registry.Repo) error { return nil })
	return start(t, f, gate, func(*http.Request) (string, error) { return artifacttypes.Anonymous, nil }, nil)
}

// OpenTo is Open for people who are known alone.
func OpenTo(t *testing.T, f artifacttypes.Format, known map[string]Person) *Place {
	t.Helper()
	people := &People{Known: known}
	p := start(t, f, people, people.admit, func(in registry.Feed, _ string) artifacttypes.Account { return account{people, in, f} })
	p.people = people
	return p
}

// People are those of [OpenTo].
func (p *Place) People() *People { return p.people }

// As is the place as somebody sees it, "" for nobody.
func (p *Place) As(name string) *Place {
	as := *p
	if as.token = ""; name != "" {
		as.token = tokenPrefix + name
	}
	return &as
}

func start(
	t *testing.T, f artifacttypes.Format, gate registry.Gate,
	admit func(*http.Request) (string, error), accounts func(registry.Feed, string) artifacttypes.Account,
) *Place {
	t.Helper()
	p := &Place{T: t, Format: f, dir: t.TempDir()}
	var serve []http.Handler
	for _, m := range p.databases() {
		serve = append(serve, p.replica(m, gate, admit, accounts))
	}
	var turn atomic.Uint64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serve[turn.Add(1)%uint64(len(serve))].ServeHTTP(w, r)
	}))
	p.URL = s.URL
	t.Cleanup(s.Close)
	return p
}

// databases opens the one of the only server there is, or that of two replicas.
func (p *Place) databases() []*meta.Store {
	p.T.Helper()
	of := []meta.Config{{Dir: p.dir}}
	if os.Getenv("PACKHOUSE_TYPETEST") == "replicas" { //nolint:forbidigo // how tests are run, not how the product runs
		p.url = metatest.Postgres(p.T)
		one := meta.Config{URL: p.url, Connections: 4}
		of = []meta.Config{one, one}
	}
	stores := make([]*meta.Store, len(of))
	for i, cfg := range of {
		m, err := meta.Open(p.T.Context(), cfg)
		if err != nil {
			p.T.Fatal(err)
		}
		p.T.Cleanup(func() {
			if err := m.Close(); err != nil {
				p.T.Error(err)
			}
		})
		stores[i] = m
	}
	return stores
}

// replica starts a server; the first is the place's Engine.
func (p *Place) replica(
	m *meta.Store, gate registry.Gate, admit func(*http.Request) (string, error), accounts func(registry.Feed, string) artifacttypes.Account,
) http.Handler {
	t := p.T
	t.Helper()
	b, err := blob.Open(t.Context(), "filesystem", map[string]any{"rootdirectory": p.dir})
	if err != nil {
		t.Fatal(err)
	}
	box, err := seal.New(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	formats := []artifacttypes.Format{p.Format}
	e, err := engine.New(t.Context(), engine.Config{
		Meta: m, Blobs: b, Seal: box, Log: slog.New(slog.DiscardHandler),
		Gate:   gate,
		Limits: engine.Limits{Manifest: 4 << 20, Blob: 5 << 30}, Trash: time.Hour, Lease: time.Hour, UploadTTL: time.Hour, CacheBytes: 16 << 20,
		Formats: feed.EngineFormats(formats),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	if p.Engine == nil {
		p.Engine = e
	}
	h, err := feed.New(feed.Options{Formats: formats, Engine: e, Log: slog.New(slog.DiscardHandler), Accounts: accounts})
	if err != nil {
		t.Fatal(err)
	}
	oci := distspec.New(e, distspec.Options{})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, err := admit(r)
		ctx := registry.WithCaller(r.Context(), &registry.Caller{Principal: name, Reads: &registry.Reads{}})
		r = r.WithContext(ctx)
		target, ok := h.Find(r)
		if !ok {
			oci.ServeHTTP(w, r)
			return
		}
		if target.Verb() == registry.Enter {
			err = nil
		}
		if err == nil {
			err = gate.Some(ctx, target.Verb(), registry.Repo(target.Feed().Name()))
		}
		if err == nil {
			err = target.Serve(w, r, p.URL)
		}
		if err != nil {
			target.WriteError(w, r, err)
		}
	})
}

// Base is the URL of the feed.
func (p *Place) Base() string { return p.URL + "/" + p.feed() }

func (p *Place) feed() string { return Namespace + "/" + p.Format.Info().Name }

// Do sends r; its URL's path is one below [Place.Base], or starts with "/api/"
// for the feed's API.
func (p *Place) Do(r *http.Request) *http.Response {
	p.T.Helper()
	res, err := p.do(r)
	if err != nil {
		p.T.Fatal(err)
	}
	p.T.Cleanup(func() { _ = res.Body.Close() })
	return res
}

func (p *Place) do(r *http.Request) (*http.Response, error) {
	if p.token != "" {
		r.Header.Set("Authorization", "Bearer "+p.token)
	}
	if r.Header.Get("Expect") != "" {
		return patient.Do(r)
	}
	return client.Do(r)
}

// client follows no redirect: what a client must follow itself shows.
var client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// Get asks for a path below the feed and returns the answer with its body,
// which is not decompressed.
func (p *Place) Get(method, path string, header http.Header) (*http.Response, []byte) {
	p.T.Helper()
	r, err := http.NewRequestWithContext(p.T.Context(), method, p.Base()+path, nil)
	if err != nil {
		p.T.Fatal(err)
	}
	if header != nil {
		r.Header = header
	}
	if r.Header.Get("Accept-Encoding") == "" {
		r.Header.Set("Accept-Encoding", "identity")
	}
	res := p.Do(r)
	body, err := io.ReadAll(res.Body)
	if err != nil {
		p.T.Fatal(err)
	}
	return res, body
}

// locate returns a sample's repository and tag.
func (p *Place) locate(s Sample) (registry.Repo, registry.Tag) {
	p.T.Helper()
	ref, err := feed.Locate([]artifacttypes.Format{p.Format}, Namespace, p.Format.Info().Name, s.Package, s.Version)
	if err != nil {
		p.T.Fatal(err)
	}
	return ref.Repository, ref.Tag
}

// Push pushes files as OCI clients do: blobs, then a manifest of the format's
// own artifact type with the empty config.
func (p *Place) Push(repo registry.Repo, tag registry.Tag, files []File, annotations map[string]string) error {
	p.T.Helper()
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: p.Format.Info().ArtifactTypes[0], Config: ocispec.DescriptorEmptyJSON, Annotations: annotations,
	}
	if own := p.Format.Info().ArtifactTypes; len(own) > 1 {
		m.ArtifactType = own[len(own)-1]
	}
	p.blob(repo, []byte("{}"))
	for _, f := range files {
		d := p.blob(repo, f.Content)
		d.MediaType, d.Annotations = f.MediaType, map[string]string{ocispec.AnnotationTitle: f.Name}
		m.Layers = append(m.Layers, d)
	}
	raw, err := json.Marshal(m)
	if err != nil {
		p.T.Fatal(err)
	}
	var tags []registry.Tag
	if tag != "" {
		tags = append(tags, tag)
	}
	_, err = p.Engine.PutManifest(p.T.Context(), repo, registry.Manifest{Raw: raw}, registry.PutOptions{Tags: tags})
	return err
}

func (p *Place) blob(repo registry.Repo, content []byte) registry.Descriptor {
	p.T.Helper()
	d, err := p.Engine.PutBlob(p.T.Context(), repo, bytes.NewReader(content), "")
	if err != nil {
		p.T.Fatal(err)
	}
	return d
}

// copyTo copies a tagged manifest with all it refers to into another place.
func (p *Place) copyTo(q *Place, repo registry.Repo, tag registry.Tag) {
	p.T.Helper()
	ctx := p.T.Context()
	m, err := p.Engine.Tagged(ctx, repo, tag)
	if err != nil {
		p.T.Fatal(err)
	}
	parsed, err := registry.ParseManifest(m.MediaType, m.Raw)
	if err != nil {
		p.T.Fatal(err)
	}
	for _, b := range parsed.Blobs {
		q.blob(repo, p.read(repo, b.Digest))
	}
	if _, err := q.Engine.PutManifest(ctx, repo, m, registry.PutOptions{Tags: []registry.Tag{tag}}); err != nil {
		p.T.Fatal(err)
	}
}

func (p *Place) read(repo registry.Repo, d registry.Digest) []byte {
	p.T.Helper()
	body, err := p.Engine.Blob(p.T.Context(), repo, d, 0, -1)
	if err != nil {
		p.T.Fatal(err)
	}
	content, err := io.ReadAll(body)
	if err := errors.Join(err, body.Close()); err != nil {
		p.T.Fatal(err)
	}
	return content
}

// forget deletes all that is derived, behind the engine's back.
func (p *Place) forget() {
	p.T.Helper()
	driver, source := "sqlite", "file:"+filepath.Join(p.dir, "packhouse.db")+"?_pragma=busy_timeout(10000)"
	if p.url != "" {
		driver, source = "pgx", p.url
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		p.T.Fatal(err)
	}
	for _, statement := range []string{`DELETE FROM fragments`, `DELETE FROM file_facts`, `UPDATE releases SET facts = NULL`, `UPDATE repositories SET terms = NULL`} {
		if _, err := db.ExecContext(p.T.Context(), statement); err != nil {
			p.T.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		p.T.Fatal(err)
	}
}
