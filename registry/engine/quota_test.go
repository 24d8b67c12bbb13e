package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

func TestQuotaSentences(t *testing.T) {
	t.Parallel()
	const gib = 1 << 30
	for _, tt := range []struct {
		err  meta.QuotaError
		want string
	}{
		{meta.QuotaError{Namespace: "acme", What: "bytes", Used: 10*gib - 1, Limit: 10 * gib}, "namespace acme may hold 10 GiB and holds 9.9 GiB"},
		{meta.QuotaError{Namespace: "acme", What: "bytes", Used: 1, Wanted: 1536, Limit: 1000}, "namespace acme may hold 1000 bytes, holds 1 byte and would take 1.5 KiB more"},
		{meta.QuotaError{What: "manifests", Used: 20, Wanted: 1, Limit: 20}, "the root namespace may hold 20 manifests, holds 20 manifests and would take 1 manifest more"},
	} {
		err := wrap("engine.Op", fmt.Errorf("in a transaction: %w", &tt.err))
		got := registry.Public(err)
		want := tt.want + ": delete something, empty the trash, or ask its administrator for more"
		if got.Message != want || !errors.Is(err, registry.QuotaExceeded) || !errors.Is(err, meta.ErrQuota) {
			t.Errorf("%v\ngot  %s\nwant %s", tt.err, got.Message, want)
		}
	}
}

// limit sets how many bytes namespace acme may hold; negative for any number.
func limit(t *testing.T, e *Engine, bytes int64) {
	t.Helper()
	q := meta.Quota{Bytes: &bytes}
	if bytes < 0 {
		q.Bytes = nil
	}
	err := e.meta.Update(t.Context(), keeping, func(ctx context.Context, tx *meta.Tx) error {
		_, _, err := tx.CreateNamespace(ctx, "acme")
		return errors.Join(err, tx.SetQuota(ctx, "acme", q))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// session begins an upload of content that lacks its last byte.
func session(t *testing.T, e *Engine, content []byte) registry.Upload {
	t.Helper()
	u, err := e.BeginUpload(t.Context(), "acme/app", digest.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Append(t.Context(), bytes.NewReader(content[:len(content)-1]), 0); err != nil {
		t.Fatal(err)
	}
	return u
}

// finish resumes the session and sends the rest of content.
func finish(t *testing.T, e *Engine, id string, content []byte) error {
	t.Helper()
	u, err := e.ResumeUpload(t.Context(), "acme/app", id)
	if err != nil {
		return err
	}
	_, err = u.Commit(t.Context(), bytes.NewReader(content[len(content)-1:]), -1, digest.FromBytes(content))
	return err
}

func wantBlob(t *testing.T, e *Engine, content []byte) {
	t.Helper()
	body, err := e.Blob(t.Context(), "acme/app", digest.FromBytes(content), 0, int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(body)
	if err := errors.Join(err, body.Close()); err != nil || !bytes.Equal(got, content) {
		t.Errorf("blob of %d bytes, %v, want %d", len(got), err, len(content))
	}
}

// TestARefusedUploadKeepsItsSession: what was sent before a refusal is there
// when the client tries again, and nothing else is left behind.
func TestARefusedUploadKeepsItsSession(t *testing.T) {
	t.Parallel()
	e := open(t)
	content := bytes.Repeat([]byte("content"), 10_000)
	u := session(t, e, content)
	limit(t, e, 1000)
	for range 2 {
		if err := finish(t, e, u.ID(), content); !errors.Is(err, registry.QuotaExceeded) {
			t.Fatalf("got %v, want QUOTA_EXCEEDED", err)
		}
	}
	limit(t, e, -1)
	if err := finish(t, e, u.ID(), content); err != nil {
		t.Fatal(err)
	}
	wantBlob(t, e, content)
}

// TestASessionEndsOnce: of two requests that end a session at once, the one
// that comes too late takes nothing from the other's blob.
func TestASessionEndsOnce(t *testing.T) {
	t.Parallel()
	e := open(t)
	content := bytes.Repeat([]byte("content"), 10_000)
	late := session(t, e, content)
	if err := finish(t, e, late.ID(), content); err != nil {
		t.Fatal(err)
	}
	if _, err := late.Commit(t.Context(), bytes.NewReader(content[len(content)-1:]), -1, digest.FromBytes(content)); err == nil {
		t.Error("the session ended twice")
	}
	wantBlob(t, e, content)
}

// TestQuotaOfBodies: a namespace that is full takes no body at all, and one
// that did not fit leaves no object behind.
func TestQuotaOfBodies(t *testing.T) {
	t.Parallel()
	e := open(t)
	limit(t, e, 100)
	put := func(n int) error {
		_, err := e.PutBlob(t.Context(), "acme/app", bytes.NewReader(bytes.Repeat([]byte{byte(n)}, n)), "")
		return err
	}
	for _, tt := range []struct {
		bytes   int
		refused bool
	}{{60, false}, {41, true}, {40, false}, {1, true}} {
		err := put(tt.bytes)
		if errors.Is(err, registry.QuotaExceeded) != tt.refused || (err != nil) != tt.refused {
			t.Errorf("%d bytes: %v, want refused: %t", tt.bytes, err, tt.refused)
		}
	}
	if _, err := e.BeginUpload(t.Context(), "acme/new", digest.SHA256); !errors.Is(err, registry.QuotaExceeded) {
		t.Errorf("session in a full namespace: %v", err)
	}
	body := reads{}
	if _, err := e.PutBlob(t.Context(), "acme/app", &body, ""); !errors.Is(err, registry.QuotaExceeded) || body.n > 0 {
		t.Errorf("%v, and %d reads of a body that cannot be kept", err, body.n)
	}
}

// reads counts how often it is read.
type reads struct{ n int }

func (r *reads) Read(p []byte) (int, error) {
	r.n++
	return len(p), nil
}

// TestCollectionFindsOrphans: a process that was killed after it purged a
// repository, and before it removed the manifests, leaves nothing that counts
// for ever.
func TestCollectionFindsOrphans(t *testing.T) {
	t.Parallel()
	c := &clock{}
	e, _ := start(t, t.TempDir(), c.Now)
	pushImage(t, e, "doomed", "1.0")
	err := e.meta.Update(t.Context(), cleaning, func(ctx context.Context, tx *meta.Tx) error {
		r, err := tx.Repository(ctx, repo)
		if err != nil {
			return err
		}
		if err := tx.DeleteRepository(ctx, r); err != nil {
			return err
		}
		_, err = tx.PurgeNamed(ctx, repo)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	collect(t, e) // the blobs' leases begin with the end of their manifest
	c.advance(2 * time.Hour)
	if got := collect(t, e); got.Blobs != 2 {
		t.Errorf("got %+v, want both blobs", got)
	}
}
