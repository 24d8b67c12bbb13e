package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/admin"
	"github.com/packhouse/packhouse/registry/audit"
	"github.com/packhouse/packhouse/registry/auth"
	"github.com/packhouse/packhouse/registry/engine"
	"github.com/packhouse/packhouse/registry/seal"
	"github.com/packhouse/packhouse/storage/blob"
	"github.com/packhouse/packhouse/storage/meta"
)

// environment is a registry whose gate lets everybody do everything.
func environment(t *testing.T, dir string) *admin.Env {
	t.Helper()
	return environmentWith(t, dir, registry.GateFunc(func(context.Context, registry.Verb, registry.Repo) error { return nil }))
}

// environmentWith is one with a gate; nil for that of its access service.
func environmentWith(t *testing.T, dir string, gate registry.Gate) *admin.Env {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	m, err := meta.Open(t.Context(), meta.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := blob.Open(t.Context(), "filesystem", map[string]any{"rootdirectory": dir})
	if err != nil {
		t.Fatal(err)
	}
	box, err := seal.New(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	a, err := auth.New(t.Context(), auth.Config{Meta: m, Seal: box, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	if gate == nil {
		gate = a.Gate()
	}
	e, err := engine.New(t.Context(), engine.Config{
		Meta: m, Blobs: blobs, Log: log, Gate: gate, Seal: box,
		Limits: engine.Limits{Manifest: 4 << 20, Blob: 1 << 30},
		Trash:  time.Hour, Lease: time.Hour, UploadTTL: time.Hour, CacheBytes: 1 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	trail, err := audit.New(t.Context(), audit.Config{Meta: m, Gate: gate, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(trail.Close(), e.Close(), a.Close(), m.Close()); err != nil {
			t.Error(err)
		}
	})
	return &admin.Env{Engine: e, Gate: gate, Auth: a, Audit: trail}
}

// push makes one image under repo:tag; note makes its bytes differ.
func push(t *testing.T, e registry.Registry, repo registry.Repo, tag registry.Tag, note string) registry.Digest {
	t.Helper()
	config, err := e.PutBlob(t.Context(), repo, strings.NewReader("{}"), "")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config":      map[string]any{"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config.Digest, "size": config.Size},
		"layers":      []any{},
		"annotations": map[string]string{"note": note},
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := e.PutManifest(t.Context(), repo, registry.Manifest{Raw: raw}, registry.PutOptions{Tags: []registry.Tag{tag}})
	if err != nil {
		t.Fatal(err)
	}
	return r.Digest
}

// callers runs the same test in this process and through a socket.
func callers(t *testing.T, test func(t *testing.T, env *admin.Env, c admin.Caller)) {
	t.Helper()
	t.Run("local", func(t *testing.T) {
		t.Parallel()
		env := environment(t, t.TempDir())
		test(t, env, admin.Local{Env: env})
	})
	t.Run("remote", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		env := environment(t, dir)
		test(t, env, remote(t, env, dir))
	})
}

func remote(t *testing.T, env *admin.Env, dir string) *admin.Remote {
	t.Helper()
	serve(t, dir, api(t, env).Socket())
	r, ok, err := admin.Dial(t.Context(), dir)
	if err != nil || !ok {
		t.Fatalf("dial: %v, %v", ok, err)
	}
	return r
}

func api(t *testing.T, env *admin.Env) *admin.API {
	t.Helper()
	a, err := admin.New(env, admin.Options{MaxBody: 1 << 10, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func serve(t *testing.T, dir string, h http.Handler) {
	t.Helper()
	l, err := admin.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: h}}
	s.Start()
	t.Cleanup(s.Close)
}

func call[P, R any](t *testing.T, c admin.Caller, n admin.Name[P, R], p P) R {
	t.Helper()
	r, err := admin.Call(t.Context(), c, n, p, nil)
	if err != nil {
		t.Fatalf("%s: %v", n, err)
	}
	return r
}

func TestRepositories(t *testing.T) {
	t.Parallel()
	callers(t, func(t *testing.T, env *admin.Env, c admin.Caller) {
		t.Helper()
		push(t, env.Engine, "acme/app", "latest", "")
		push(t, env.Engine, "acme/web", "latest", "")
		names := func(p admin.RepoListParams) (names []registry.Repo) {
			for _, r := range call(t, c, admin.RepoList, p) {
				names = append(names, r.Name)
			}
			return names
		}
		check := func(step string, got, want any) {
			t.Helper()
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", step, diff)
			}
		}
		check("list", names(admin.RepoListParams{}), []registry.Repo{"acme/app", "acme/web"})
		check("page", names(admin.RepoListParams{Page: admin.Page{After: "acme/app", Limit: 1}}), []registry.Repo{"acme/web"})
		check("namespace", names(admin.RepoListParams{Namespace: "acme"}), []registry.Repo{"acme/app", "acme/web"})
		check("another namespace", names(admin.RepoListParams{Namespace: "/"}), []registry.Repo(nil))
		d := call(t, c, admin.RepoShow, admin.RepoParams{Repo: "acme/app"})
		check("show", []any{d.Name, d.Tags, d.Manifests, d.Blobs, d.Bytes}, []any{registry.Repo("acme/app"), int64(1), int64(1), int64(1), int64(2)})
		check("count", call(t, c, admin.NamespaceShow, admin.NamespaceParams{Namespace: d.Namespace}).Repositories, 2)
		call(t, c, admin.RepoDelete, admin.RepoParams{Repo: "acme/app"})
		check("deleted", names(admin.RepoListParams{Deleted: true}), []registry.Repo{"acme/app"})
		call(t, c, admin.RepoRestore, admin.RepoParams{Repo: "acme/app"})
		check("restored", names(admin.RepoListParams{}), []registry.Repo{"acme/app", "acme/web"})
		call(t, c, admin.RepoDelete, admin.RepoParams{Repo: "acme/app"})
		call(t, c, admin.RepoPurge, admin.RepoParams{Repo: "acme/app"})
		_, err := admin.Call(t.Context(), c, admin.RepoRestore, admin.RepoParams{Repo: "acme/app"}, nil)
		if !errors.Is(err, registry.NameUnknown) || registry.Public(err).Message == "" {
			t.Errorf("restore after purge: %v", err)
		}
	})
}

func TestTagHistory(t *testing.T) {
	t.Parallel()
	callers(t, func(t *testing.T, env *admin.Env, c admin.Caller) {
		t.Helper()
		latest := admin.TagParams{Repo: "app", Tag: "latest"}
		first := push(t, env.Engine, "app", "latest", "one")
		second := push(t, env.Engine, "app", "latest", "two")
		var got []registry.Digest
		for _, p := range call(t, c, admin.TagHistory, admin.TagHistoryParams{TagParams: latest}) {
			got = append(got, p.Digest)
		}
		if diff := cmp.Diff([]registry.Digest{second, first}, got); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
		if r := call(t, c, admin.TagRestore, admin.TagRestoreParams{TagParams: latest}); r.Digest != first {
			t.Errorf("restored %s, want %s", r.Digest, first)
		}
		if r := call(t, c, admin.TagRestore, admin.TagRestoreParams{TagParams: latest, Digest: second.String()}); r.Digest != second {
			t.Errorf("restored %s, want %s", r.Digest, second)
		}
	})
}

func TestCollectAndCheck(t *testing.T) {
	t.Parallel()
	callers(t, func(t *testing.T, env *admin.Env, c admin.Caller) {
		t.Helper()
		push(t, env.Engine, "app", "latest", "")
		if r := call(t, c, admin.GC, admin.GCParams{DryRun: true}); r.Blobs != 0 {
			t.Errorf("gc: %+v", r)
		}
		if r := call(t, c, admin.Fsck, admin.FsckParams{}); r.Blobs != 1 || r.Found != 0 {
			t.Errorf("fsck: %+v", r)
		}
	})
}

func TestErrorsKeepTheirCode(t *testing.T) {
	t.Parallel()
	callers(t, func(t *testing.T, _ *admin.Env, c admin.Caller) {
		t.Helper()
		for _, tc := range []struct {
			name string
			call func() error
			want registry.Code
		}{
			{"unknown repository", func() error {
				_, err := admin.Call(t.Context(), c, admin.RepoShow, admin.RepoParams{Repo: "nowhere"}, nil)
				return err
			}, registry.NameUnknown},
			{"bad name", func() error {
				_, err := admin.Call(t.Context(), c, admin.RepoDelete, admin.RepoParams{Repo: "UPPER"}, nil)
				return err
			}, registry.NameInvalid},
			{"unknown operation", func() error {
				_, err := admin.Call(t.Context(), c, admin.Name[admin.None, admin.None]("dance"), admin.None{}, nil)
				return err
			}, registry.Unsupported},
			{"unknown parameter", func() error {
				_, err := admin.Call(t.Context(), c, admin.Name[map[string]int, admin.None]("gc"), map[string]int{"dryrun": 1}, nil)
				return err
			}, registry.ParameterInvalid},
		} {
			if err := tc.call(); !errors.Is(err, tc.want) {
				t.Errorf("%s: %v, want %s", tc.name, err, tc.want)
			}
		}
	})
}

// What stands in for a server here answers as the wire format says, so that
// format and client are held together.
func TestWireFormat(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serve(t, dir, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "POST" || r.URL.Path != "/-/api/v1/gc" || r.Header.Get("Accept") != "application/jsonl, application/json" {
			t.Errorf("%s %s accepting %s", r.Method, r.URL, r.Header.Get("Accept"))
		}
		w.Header().Set("Content-Type", "application/jsonl")
		_, _ = w.Write([]byte(`{"progress":{"phase":"collect","done":3,"total":9,"unit":"blobs"}}` + "\n" + `{"result":{"blobs":7}}` + "\n"))
	}))
	c, ok, err := admin.Dial(t.Context(), dir)
	if err != nil || !ok {
		t.Fatalf("dial: %v, %v", ok, err)
	}
	var seen []admin.Progress
	got, err := admin.Call(t.Context(), c, admin.GC, admin.GCParams{}, func(p admin.Progress) { seen = append(seen, p) })
	if err != nil || got.Blobs != 7 {
		t.Errorf("got %+v, %v", got, err)
	}
	if diff := cmp.Diff([]admin.Progress{{Phase: "collect", Done: 3, Total: 9, Unit: "blobs"}}, seen); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestServerThatDiesIsAnError(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serve(t, dir, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jsonl")
		_, _ = w.Write([]byte(`{"progress":{"phase":"collect","done":3}}` + "\n"))
	}))
	c, _, err := admin.Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = admin.Call(t.Context(), c, admin.GC, admin.GCParams{}, nil)
	if err == nil || !strings.Contains(err.Error(), "the server stopped before") {
		t.Errorf("err = %v", err)
	}
}

func TestSocket(t *testing.T) {
	t.Parallel()
	// Longer than a socket address.
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 30))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	running := func() bool {
		_, ok, err := admin.Dial(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	if running() {
		t.Error("found a server where there is none")
	}
	first, err := admin.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = http.Serve(first, http.NotFoundHandler()) }()
	fi, err := os.Stat(filepath.Join(dir, "admin.sock"))
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v", fi, err)
	}
	if !running() {
		t.Error("did not find the server")
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	// A crash leaves the socket behind.
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: short(t, dir)})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	_ = left.Close()
	if running() {
		t.Error("found a server on what a crash left")
	}
	second, err := admin.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	_ = second.Close()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func short(t *testing.T, dir string) string {
	t.Helper()
	link := filepath.Join(t.TempDir(), "d")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(link, "admin.sock")
}
