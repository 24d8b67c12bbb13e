package registrytest

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/opencontainers/go-digest"

	"github.com/packhouse/packhouse/registry"
)

var errCut = errors.New("the client went away")

// cutAfter yields content, then an error instead of the end.
func cutAfter(content string) io.Reader {
	return io.MultiReader(strings.NewReader(content), iotest.ErrReader(errCut))
}

func blobTests() map[string]func(*testing.T, fixture) {
	return map[string]func(*testing.T, fixture){
		"pushed blob is served": func(t *testing.T, f fixture) {
			for _, content := range []string{"", "x", strings.Repeat("0123456789abcdef", 1<<14)} {
				for _, a := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
					want := a.FromString(content)
					put, err := f.PutBlob(t.Context(), repo, strings.NewReader(content), want)
					if err != nil {
						t.Fatal(err)
					}
					stat, err := f.StatBlob(t.Context(), repo, want)
					if err != nil {
						t.Fatal(err)
					}
					for _, d := range []registry.Descriptor{put, stat} {
						if d.Digest != want || d.Size != int64(len(content)) {
							t.Errorf("described as %s of %d bytes, want %s of %d", d.Digest, d.Size, want, len(content))
						}
					}
					if stat.MediaType != "application/octet-stream" {
						t.Errorf("media type is %q", stat.MediaType)
					}
					if got := f.content(repo, want, 0, -1); got != content {
						t.Errorf("%d bytes served, or others, want the %d pushed", len(got), len(content))
					}
				}
			}
		},
		"push without digest names by sha256": func(t *testing.T, f fixture) {
			got, err := f.PutBlob(t.Context(), repo, strings.NewReader("x"), "")
			if want := digest.FromString("x"); err != nil || got.Digest != want {
				t.Errorf("PutBlob = %v, %v, want %s", got.Digest, err, want)
			}
		},
		"push again": func(t *testing.T, f fixture) {
			d := f.blob(repo, "x")
			f.blob(repo, "x")
			if got := f.content(repo, d, 0, -1); got != "x" {
				t.Errorf("content is %q", got)
			}
		},
		"unknown": func(t *testing.T, f fixture) {
			absent := digest.FromString("absent")
			for _, step := range []struct {
				code registry.Code
				do   func()
			}{
				{registry.NameUnknown, func() {}},
				{registry.BlobUnknown, func() { f.blob(repo, "x") }},
			} {
				step.do()
				_, err := f.StatBlob(t.Context(), repo, absent)
				f.wantCode(err, step.code)
				_, err = f.Blob(t.Context(), repo, absent, 0, -1)
				f.wantCode(err, step.code)
			}
		},
		"blobs belong to their repository": func(t *testing.T, f fixture) {
			d := f.blob(repo, "x")
			f.blob(other, "y")
			_, err := f.StatBlob(t.Context(), other, d)
			f.wantCode(err, registry.BlobUnknown)
		},
		"wrong digest keeps nothing": func(t *testing.T, f fixture) {
			for _, want := range []registry.Digest{digest.FromString("x"), digest.SHA512.FromString("x")} {
				_, err := f.PutBlob(t.Context(), repo, strings.NewReader("not x"), want)
				f.wantCode(err, registry.DigestInvalid)
				_, err = f.StatBlob(t.Context(), repo, want)
				f.wantCode(err, registry.NameUnknown)
			}
		},
		"body cut short keeps nothing": func(t *testing.T, f fixture) {
			// Even when what did arrive hashes to the digest asked for.
			_, err := f.PutBlob(t.Context(), repo, cutAfter("x"), digest.FromString("x"))
			if !errors.Is(err, errCut) {
				t.Errorf("error is %v, want the body's", err)
			}
			_, err = f.StatBlob(t.Context(), repo, digest.FromString("x"))
			f.wantCode(err, registry.NameUnknown)
		},
		"ranges": func(t *testing.T, f fixture) {
			const content = "0123456789"
			d := f.blob(repo, content)
			for _, r := range []struct {
				off, n int64
				want   string
			}{{0, 10, content}, {0, 1, "0"}, {3, 4, "3456"}, {9, 1, "9"}, {4, -1, "456789"}} {
				if got := f.content(repo, d, r.off, r.n); got != r.want {
					t.Errorf("%d bytes from %d are %q, want %q", r.n, r.off, got, r.want)
				}
			}
			for _, r := range []struct{ off, n int64 }{{11, -1}, {11, 1}, {0, 11}, {9, 2}, {1 << 62, 1 << 62}} {
				_, err := f.Blob(t.Context(), repo, d, r.off, r.n)
				f.wantCode(err, registry.RangeInvalid)
			}
		},
		"mount": func(t *testing.T, f fixture) {
			for content, from := range map[string]registry.Repo{"named": other, "anywhere": ""} {
				d := f.blob(other, content)
				got, err := f.Mount(t.Context(), from, repo, d)
				if err != nil || got.Digest != d || got.Size != int64(len(content)) {
					t.Fatalf("Mount = %+v, %v", got, err)
				}
				if got := f.content(repo, d, 0, -1); got != content {
					t.Errorf("content is %q, want %q", got, content)
				}
				if err := f.DeleteBlob(t.Context(), other, d); err != nil {
					t.Fatal(err)
				}
				if got := f.content(repo, d, 0, -1); got != content {
					t.Errorf("content is %q after the source is gone, want %q", got, content)
				}
			}
		},
		"mount of what is not there": func(t *testing.T, f fixture) {
			d := f.blob("acme/third", "x")
			f.blob(other, "y")
			for _, from := range []registry.Repo{other, "acme/nowhere"} {
				_, err := f.Mount(t.Context(), from, repo, d)
				f.wantCode(err, registry.BlobUnknown)
			}
			_, err := f.Mount(t.Context(), "", repo, digest.FromString("absent"))
			f.wantCode(err, registry.BlobUnknown)
			_, err = f.StatBlob(t.Context(), repo, d)
			f.wantCode(err, registry.NameUnknown)
		},
	}
}
