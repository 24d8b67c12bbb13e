package engine

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/registrytest"
)

// clock is a clock that tests move.
type clock struct{ ahead atomic.Int64 }

func (c *clock) Now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

const repo registry.Repo = "acme/app"

func pushBlob(t *testing.T, e *Engine, r registry.Repo, content string) registry.Digest {
	t.Helper()
	d, err := e.PutBlob(t.Context(), r, strings.NewReader(content), "")
	if err != nil {
		t.Fatal(err)
	}
	return d.Digest
}

func pushImage(t *testing.T, e *Engine, seed string, tags ...registry.Tag) registry.Manifest {
	t.Helper()
	config, layer := "config "+seed, "layer "+seed
	pushBlob(t, e, repo, config)
	pushBlob(t, e, repo, layer)
	m := registrytest.Image(nil, []byte(config), []byte(layer))
	if _, err := e.PutManifest(t.Context(), repo, m, registry.PutOptions{Tags: tags}); err != nil {
		t.Fatal(err)
	}
	return m
}

func wantCode(t *testing.T, err error, code registry.Code) {
	t.Helper()
	if !errors.Is(err, code) {
		t.Errorf("got %v, want %s", err, code)
	}
}

func collect(t *testing.T, e *Engine) Collected {
	t.Helper()
	c, err := e.Collect(t.Context(), CollectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func objects(t *testing.T, dir string) int {
	t.Helper()
	n := 0
	err := filepath.WalkDir(filepath.Join(dir, "objects"), func(_ string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAnUploadGoesOnInAnotherProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	content := strings.Repeat("0123456789abcdef", 100_000) // several buffers
	half := len(content)/2 + 7
	first, stop := start(t, dir, time.Now)
	u, err := first.BeginUpload(t.Context(), repo, digest.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := u.Append(t.Context(), strings.NewReader(content[:half]), 0); err != nil || n != int64(half) {
		t.Fatalf("got %d, %v", n, err)
	}
	stop()

	second := openAt(t, dir)
	again, err := second.ResumeUpload(t.Context(), repo, u.ID())
	if err != nil {
		t.Fatal(err)
	}
	if again.Size() != int64(half) {
		t.Errorf("continues at %d, want %d", again.Size(), half)
	}
	want := digest.FromString(content)
	if _, err := again.Commit(t.Context(), strings.NewReader(content[half:]), int64(half), want); err != nil {
		t.Fatal(err)
	}
	body, err := second.Blob(t.Context(), repo, want, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(body)
	if err := errors.Join(err, body.Close()); err != nil || string(got) != content {
		t.Errorf("read %d bytes, %v; want the %d pushed", len(got), err, len(content))
	}
}

func TestWhatAKilledProcessLeftIsSwept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e, stop := start(t, dir, time.Now)
	kept := pushBlob(t, e, repo, "kept")
	key, err := e.keys.take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := e.blobs.Put(t.Context(), key, []byte("written, then killed before the commit")); err != nil {
		t.Fatal(err)
	}
	stop()
	if n := objects(t, dir); n != 2 {
		t.Fatalf("%d objects, want the blob and the orphan", n)
	}
	e = openAt(t, dir)
	waitSwept(t, e)
	if n := objects(t, dir); n != 1 {
		t.Errorf("%d objects, want the blob alone", n)
	}
	if _, err := e.StatBlob(t.Context(), repo, kept); err != nil {
		t.Error(err)
	}
}

func waitSwept(t *testing.T, e *Engine) {
	t.Helper()
	for {
		blocks, err := e.meta.Blocks(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(blocks) == 0 {
			return
		}
	}
}

func TestNothingIsKeptOfARefusedUpload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := openAt(t, dir, func(c *Config) { c.Limits.Blob = 1 << 20 })
	wrong := digest.FromString("something else")
	_, err := e.PutBlob(t.Context(), repo, strings.NewReader("content"), wrong)
	wantCode(t, err, registry.DigestInvalid)
	_, err = e.PutBlob(t.Context(), repo, bytes.NewReader(make([]byte, 1<<20+1)), "")
	wantCode(t, err, registry.TooLarge)
	_, err = e.PutBlob(t.Context(), repo, io.MultiReader(strings.NewReader("some"), brokenReader{}), "")
	wantCode(t, err, registry.SizeInvalid)
	u, err := e.BeginUpload(t.Context(), repo, digest.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Append(t.Context(), strings.NewReader("chunk"), -1); err != nil {
		t.Fatal(err)
	}
	_, err = u.Commit(t.Context(), strings.NewReader("last"), -1, wrong)
	wantCode(t, err, registry.DigestInvalid)
	if n := objects(t, dir); n != 0 {
		t.Errorf("%d objects are left", n)
	}
	if _, err := e.Repository(t.Context(), repo); !errors.Is(err, registry.NameUnknown) {
		t.Errorf("a repository was made: %v", err)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestWhatArrivedBeforeABreakIsKept(t *testing.T) {
	t.Parallel()
	e := open(t)
	u, err := e.BeginUpload(t.Context(), repo, digest.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	n, err := u.Append(t.Context(), io.MultiReader(strings.NewReader("half"), brokenReader{}), 0)
	wantCode(t, err, registry.SizeInvalid)
	if n != 4 {
		t.Errorf("%d bytes are saved, want 4", n)
	}
	again, err := e.ResumeUpload(t.Context(), repo, u.ID())
	if err != nil || again.Size() != 4 {
		t.Fatalf("got %v, %v", again, err)
	}
	if _, err := again.Commit(t.Context(), strings.NewReader("way"), 4, digest.FromString("halfway")); err != nil {
		t.Error(err)
	}
}

func TestCollect(t *testing.T) {
	t.Parallel()
	dir, c := t.TempDir(), &clock{}
	e, _ := start(t, dir, c.Now)
	pushImage(t, e, "kept", "1.0")
	doomed := pushImage(t, e, "doomed", "2.0")
	garbage := pushBlob(t, e, repo, "never referenced")

	if got := collect(t, e); !got.nothing() {
		t.Errorf("within lease and trash window: %+v", got)
	}
	if err := e.DeleteManifest(t.Context(), repo, doomed.Digest, registry.Condition{}); err != nil {
		t.Fatal(err)
	}
	c.advance(40 * time.Minute)
	if _, err := e.StatBlob(t.Context(), repo, garbage); err != nil { // renews
		t.Fatal(err)
	}
	c.advance(30 * time.Minute)
	if got := collect(t, e); got.Blobs != 0 || got.Periods != 2 {
		t.Errorf("trash ended, lease was renewed: %+v, want the tag's and the manifest's period", got)
	}
	c.advance(2 * time.Hour)
	dry, err := e.Collect(t.Context(), CollectOptions{DryRun: true})
	if err != nil || dry.Blobs != 3 {
		t.Errorf("dry run: %+v, %v", dry, err)
	}
	if got := collect(t, e); got.Blobs != 3 || got.Bytes != dry.Bytes {
		t.Errorf("got %+v, want what the dry run said: %+v", got, dry)
	}
	if n := objects(t, dir); n != 2 {
		t.Errorf("%d objects are left, want the kept image's two", n)
	}
	_, err = e.StatBlob(t.Context(), repo, garbage)
	wantCode(t, err, registry.BlobUnknown)
	if _, err := e.Tagged(t.Context(), repo, "1.0"); err != nil {
		t.Error(err)
	}
}

func TestRestoreTag(t *testing.T) {
	t.Parallel()
	c := &clock{}
	e, _ := start(t, t.TempDir(), c.Now)
	first := pushImage(t, e, "first", "1.0")
	second := pushImage(t, e, "second", "1.0") // moves the tag
	if err := e.DeleteManifest(t.Context(), repo, first.Digest, registry.Condition{}); err != nil {
		t.Fatal(err)
	}
	for _, blob := range []string{"config first", "layer first"} {
		if err := e.DeleteBlob(t.Context(), repo, digest.FromString(blob)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := e.RestoreTag(t.Context(), repo, "1.0", ""); err != nil || got != first.Digest {
		t.Fatalf("restored %s, %v; want %s", got, err, first.Digest)
	}
	m, err := e.Tagged(t.Context(), repo, "1.0")
	if err != nil || !bytes.Equal(m.Raw, first.Raw) {
		t.Errorf("tag is %s, %v", m.Digest, err)
	}
	if _, err := e.StatBlob(t.Context(), repo, digest.FromString("layer first")); err != nil {
		t.Errorf("a restored image lacks its layer: %v", err)
	}
	history, err := e.TagHistory(t.Context(), repo, "1.0")
	if err != nil || len(history) != 3 || history[1].Digest != second.Digest {
		t.Errorf("history is %+v, %v", history, err)
	}
	if err := e.DeleteTag(t.Context(), repo, "1.0", registry.Condition{}); err != nil {
		t.Fatal(err)
	}
	c.advance(2 * time.Hour)
	_, err = e.RestoreTag(t.Context(), repo, "1.0", "")
	wantCode(t, err, registry.ManifestUnknown)
}

func TestDeletedRepositoryComesBackWhole(t *testing.T) {
	t.Parallel()
	e := open(t)
	m := pushImage(t, e, "one", "1.0")
	if err := e.DeleteRepository(t.Context(), repo); err != nil {
		t.Fatal(err)
	}
	_, err := e.Tagged(t.Context(), repo, "1.0")
	wantCode(t, err, registry.NameUnknown)
	if err := e.RestoreRepository(t.Context(), repo); err != nil {
		t.Fatal(err)
	}
	if got, err := e.Tagged(t.Context(), repo, "1.0"); err != nil || got.Digest != m.Digest {
		t.Errorf("got %s, %v", got.Digest, err)
	}
	if n, err := e.DeleteNamespace(t.Context(), "acme"); err != nil || n != 1 {
		t.Fatalf("deleted %d, %v", n, err)
	}
	pushBlob(t, e, repo, "a new repository of that name")
	_, err = e.RestoreNamespace(t.Context(), "acme")
	wantCode(t, err, registry.NameUnknown) // the push revived the namespace
	err = e.RestoreRepository(t.Context(), repo)
	wantCode(t, err, registry.Denied)
	if err := e.PurgeRepository(t.Context(), repo); err != nil {
		t.Fatal(err)
	}
	if trash, err := e.DeletedRepositories(t.Context()); err != nil || len(trash) != 0 {
		t.Errorf("trash has %v, %v", trash, err)
	}
}

func TestGateIsAskedBeforeAnyLookup(t *testing.T) {
	t.Parallel()
	refuse := registry.E("gate", registry.Denied, nil, "no")
	e := open(t, func(c *Config) {
		c.Gate = registry.GateFunc(func(context.Context, registry.Verb, registry.Repo) error { return refuse })
	})
	if err := e.meta.Close(); err != nil { // any query from here on fails otherwise
		t.Fatal(err)
	}
	ctx, d := t.Context(), digest.FromString("x")
	var errs []error
	add := func(_ any, err error) { errs = append(errs, err) }
	add(e.StatBlob(ctx, repo, d))
	add(e.Blob(ctx, repo, d, 0, -1))
	add(e.Manifest(ctx, repo, d))
	add(e.Tagged(ctx, repo, "t"))
	add(e.PutBlob(ctx, repo, strings.NewReader(""), ""))
	add(e.BeginUpload(ctx, repo, digest.SHA256))
	add(e.ResumeUpload(ctx, repo, "id"))
	add(e.Mount(ctx, "other", repo, d))
	add(e.PutManifest(ctx, repo, registry.Manifest{}, registry.PutOptions{}))
	add(nil, e.DeleteTag(ctx, repo, "t", registry.Condition{}))
	add(nil, e.DeleteManifest(ctx, repo, d, registry.Condition{}))
	add(nil, e.DeleteBlob(ctx, repo, d))
	for _, err := range e.Tags(ctx, repo, "") {
		add(nil, err)
	}
	for _, err := range e.Referrers(ctx, repo, d, "", "") {
		add(nil, err)
	}
	add(e.Namespaces(ctx))
	add(e.Collect(ctx, CollectOptions{}))
	if len(errs) != 16 {
		t.Errorf("%d answers, want 16", len(errs))
	}
	for i, err := range errs {
		if !errors.Is(err, registry.Denied) {
			t.Errorf("call %d: got %v, want the gate's refusal", i, err)
		}
	}
}

// An old client reads the referrers tag, adds to the index, and pushes it back
// on condition that nobody else did.
func TestAComputedReferrersTagCanBeReplaced(t *testing.T) {
	t.Parallel()
	e := open(t)
	subject := pushImage(t, e, "subject", "1.0")
	pushBlob(t, e, repo, "signature")
	referrer := registrytest.Image(func(m *ocispec.Manifest) {
		m.Subject = &registry.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size}
	}, []byte("signature"))
	if _, err := e.PutManifest(t.Context(), repo, referrer, registry.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	tag := registry.ReferrersTag(subject.Digest)
	computed, err := e.Tagged(t.Context(), repo, tag)
	if err != nil {
		t.Fatal(err)
	}
	index := registrytest.Index(nil, referrer)
	put := func() error {
		_, err := e.PutManifest(t.Context(), repo, index, registry.PutOptions{
			Tags: []registry.Tag{tag}, If: registry.Condition{Match: []string{computed.Digest.String()}},
		})
		return err
	}
	if err := put(); err != nil {
		t.Fatal(err)
	}
	if got, err := e.Tagged(t.Context(), repo, tag); err != nil || got.Digest != index.Digest {
		t.Errorf("the tag is %s, %v; want what was pushed", got.Digest, err)
	}
	wantCode(t, put(), registry.PreconditionFailed)
}
