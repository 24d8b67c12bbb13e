package registrytest

import (
	"errors"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/packhouse/packhouse/registry"
)

// begin opens an upload session of repo.
func (f fixture) begin(a digest.Algorithm) registry.Upload {
	f.t.Helper()
	u, err := f.BeginUpload(f.t.Context(), repo, a)
	if err != nil {
		f.t.Fatalf("BeginUpload: %v", err)
	}
	if u.Size() != 0 {
		f.t.Fatalf("a new session has %d bytes", u.Size())
	}
	return u
}

func (f fixture) resume(id string) registry.Upload {
	f.t.Helper()
	u, err := f.ResumeUpload(f.t.Context(), repo, id)
	if err != nil {
		f.t.Fatalf("ResumeUpload: %v", err)
	}
	return u
}

func (f fixture) wantClosed(id string) {
	f.t.Helper()
	_, err := f.ResumeUpload(f.t.Context(), repo, id)
	f.wantCode(err, registry.BlobUploadUnknown)
}

func uploadTests() map[string]func(*testing.T, fixture) {
	return map[string]func(*testing.T, fixture){
		"in pieces, each by another request": func(t *testing.T, f fixture) {
			for _, begun := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
				for _, asked := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
					id, sent := f.begin(begun).ID(), ""
					for _, piece := range []string{"one ", "two ", string(begun), "", strings.Repeat("x", 1<<17)} {
						u := f.resume(id)
						if u.ID() != id || u.Size() != int64(len(sent)) {
							t.Fatalf("session %s has %d bytes, want %s with %d", u.ID(), u.Size(), id, len(sent))
						}
						sent += piece
						if got, err := u.Append(t.Context(), strings.NewReader(piece), u.Size()); err != nil || got != int64(len(sent)) {
							t.Fatalf("Append = %d, %v, want %d", got, err, len(sent))
						}
					}
					sent += "last"
					u, want := f.resume(id), asked.FromString(sent)
					got, err := u.Commit(t.Context(), strings.NewReader("last"), u.Size(), want)
					if err != nil || got.Digest != want || got.Size != int64(len(sent)) {
						t.Fatalf("Commit = %+v, %v, want %s of %d bytes", got, err, want, len(sent))
					}
					if f.content(repo, want, 0, -1) != sent {
						t.Errorf("%s blob begun as %s is not what was sent", asked, begun)
					}
					f.wantClosed(id)
				}
			}
		},
		"id fits a path segment": func(t *testing.T, f fixture) {
			id := f.begin(digest.SHA256).ID()
			const legal = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
			if id == "" || len(id) > 128 || strings.Trim(id, legal) != "" {
				t.Errorf("id is %q, want 1 to 128 of %s", id, legal)
			}
			if again := f.begin(digest.SHA256).ID(); again == id {
				t.Errorf("two sessions are called %q", id)
			}
		},
		"without body": func(t *testing.T, f fixture) {
			u := f.begin(digest.SHA256)
			if _, err := u.Append(t.Context(), strings.NewReader("x"), -1); err != nil {
				t.Fatal(err)
			}
			if _, err := f.resume(u.ID()).Commit(t.Context(), nil, -1, digest.FromString("x")); err != nil {
				t.Fatal(err)
			}
			u = f.begin(digest.SHA256)
			if _, err := u.Commit(t.Context(), nil, -1, digest.FromString("")); err != nil {
				t.Fatal(err)
			}
			if got := f.content(repo, digest.FromString(""), 0, -1); got != "" {
				t.Errorf("content is %q", got)
			}
		},
		"wrong offset changes nothing": func(t *testing.T, f fixture) {
			id := f.begin(digest.SHA256).ID()
			for _, at := range []int64{1, 100} {
				_, err := f.resume(id).Append(t.Context(), strings.NewReader("x"), at)
				f.wantCode(err, registry.RangeInvalid)
			}
			if _, err := f.resume(id).Append(t.Context(), strings.NewReader("abc"), 0); err != nil {
				t.Fatal(err)
			}
			for _, at := range []int64{0, 2, 4} {
				_, err := f.resume(id).Append(t.Context(), strings.NewReader("x"), at)
				f.wantCode(err, registry.RangeInvalid)
				_, err = f.resume(id).Commit(t.Context(), strings.NewReader("x"), at, digest.FromString("abcx"))
				f.wantCode(err, registry.RangeInvalid)
			}
			u := f.resume(id)
			if u.Size() != 3 {
				t.Fatalf("session has %d bytes, want 3", u.Size())
			}
			if _, err := u.Commit(t.Context(), strings.NewReader("d"), 3, digest.FromString("abcd")); err != nil {
				t.Error(err)
			}
		},
		"wrong digest ends the session": func(t *testing.T, f fixture) {
			for _, want := range []registry.Digest{digest.FromString("y"), digest.SHA512.FromString("y")} {
				u := f.begin(digest.SHA256)
				_, err := u.Commit(t.Context(), strings.NewReader("x"), -1, want)
				f.wantCode(err, registry.DigestInvalid)
				f.wantClosed(u.ID())
				_, err = f.StatBlob(t.Context(), repo, want)
				f.wantCode(err, registry.NameUnknown)
			}
		},
		"body cut short keeps what arrived": func(t *testing.T, f fixture) {
			u := f.begin(digest.SHA256)
			if _, err := u.Append(t.Context(), cutAfter("abc"), 0); !errors.Is(err, errCut) {
				t.Fatalf("error is %v, want the body's", err)
			}
			u = f.resume(u.ID())
			if u.Size() != 3 {
				t.Fatalf("session has %d bytes, want 3", u.Size())
			}
			if _, err := u.Commit(t.Context(), strings.NewReader("d"), 3, digest.FromString("abcd")); err != nil {
				t.Error(err)
			}
		},
		"last body cut short commits nothing": func(t *testing.T, f fixture) {
			u := f.begin(digest.SHA256)
			// What did arrive hashes to the digest asked for.
			if _, err := u.Commit(t.Context(), cutAfter("abc"), 0, digest.FromString("abc")); !errors.Is(err, errCut) {
				t.Fatalf("error is %v, want the body's", err)
			}
			_, err := f.StatBlob(t.Context(), repo, digest.FromString("abc"))
			f.wantCode(err, registry.NameUnknown)
		},
		"abort": func(t *testing.T, f fixture) {
			u := f.begin(digest.SHA256)
			if _, err := u.Append(t.Context(), strings.NewReader("x"), 0); err != nil {
				t.Fatal(err)
			}
			if err := f.resume(u.ID()).Abort(t.Context()); err != nil {
				t.Fatal(err)
			}
			f.wantClosed(u.ID())
		},
		"unknown": func(t *testing.T, f fixture) {
			f.wantClosed("no-such-session")
			u := f.begin(digest.SHA256)
			_, err := f.ResumeUpload(t.Context(), other, u.ID())
			f.wantCode(err, registry.BlobUploadUnknown)
		},
		"a session makes no repository": func(t *testing.T, f fixture) {
			f.begin(digest.SHA256)
			_, err := f.StatBlob(t.Context(), repo, digest.FromString("x"))
			f.wantCode(err, registry.NameUnknown)
			if got := collect(t, f.Repos(t.Context(), "")); len(got) > 0 {
				t.Errorf("repositories are %v, want none", got)
			}
		},
	}
}
