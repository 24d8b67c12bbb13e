package feed

import (
	"bytes"
	"context"
	"hash"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"time"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/transfer"
)

// view is one feed as one request sees it.
type view struct {
	Target
	server, base string // URLs, the feed's being base
}

var _ artifacttypes.View = (*view)(nil)

func (v *view) URL() string               { return v.base }
func (v *view) Setting(key string) string { return v.h.settings[v.feed.Format][key] }
func (v *view) Now() time.Time            { return v.h.engine.Now() }
func (v *view) Log() *slog.Logger         { return v.h.log }

func (v *view) Account() artifacttypes.Account { return v.h.accounts(v.feed, v.server) }

func (v *view) Stage(ctx context.Context, body io.Reader, also ...hash.Hash) (registry.Staged, error) {
	return v.h.engine.Stage(ctx, v.feed, body, also...)
}

func (v *view) Reuse(ctx context.Context, rel *registry.Release, f registry.File) (registry.Staged, error) {
	return v.h.engine.Reuse(ctx, rel.Repo, f)
}

func (v *view) Publish(ctx context.Context, d registry.Draft) (*registry.Release, error) {
	return v.h.engine.Publish(ctx, v.feed, d)
}

// repo is a package's repository. Where the feed is not there, no package is,
// which who may not read it does not learn.
func (v *view) repo(ctx context.Context, pkg string) (registry.Repo, error) {
	r, err := v.h.engine.PackageRepo(v.feed, pkg)
	if err == nil && v.feed.ID == 0 {
		if err = v.Account().Allow(ctx, registry.Read, pkg); err == nil {
			err = registry.E("feed", registry.NameUnknown, nil, "there is no package %s in %s", pkg, v.feed.Name())
		}
	}
	return r, err
}

func (v *view) place(ctx context.Context, pkg, version string) (registry.Repo, registry.Tag, error) {
	r, err := v.repo(ctx, pkg)
	if err != nil {
		return "", "", err
	}
	t, err := v.h.engine.VersionTag(v.feed, version)
	if err != nil { // what is no version is not there
		err = registry.E("feed", registry.ManifestUnknown, err, "there is no version %s of %s", version, pkg)
	}
	return r, t, err
}

func (v *view) Change(ctx context.Context, pkg string, ops ...registry.Op) error {
	r, err := v.h.engine.PackageRepo(v.feed, pkg)
	if err != nil {
		return err
	}
	return v.h.engine.Change(ctx, r, ops...)
}

func (v *view) Attach(ctx context.Context, pkg, version string, ref registry.Referrer) error {
	r, t, err := v.place(ctx, pkg, version)
	if err != nil {
		return err
	}
	return v.h.engine.Attach(ctx, r, t, ref)
}

func (v *view) Package(ctx context.Context, pkg string) (*registry.Package, error) {
	r, err := v.repo(ctx, pkg)
	if err != nil {
		return nil, err
	}
	return v.h.engine.Package(ctx, r)
}

func (v *view) Release(ctx context.Context, pkg, version string) (*registry.Release, error) {
	r, t, err := v.place(ctx, pkg, version)
	if err != nil {
		return nil, err
	}
	return v.h.engine.Release(ctx, r, t)
}

func (v *view) Versions(ctx context.Context, pkg string) ([]registry.Version, error) {
	r, err := v.repo(ctx, pkg)
	if err != nil {
		return nil, err
	}
	return v.h.engine.Versions(ctx, r)
}

func (v *view) Packages(ctx context.Context, after string) iter.Seq2[string, error] {
	return v.h.engine.Packages(ctx, v.feed, after)
}

func (v *view) Search(ctx context.Context, text string, offset, limit int) ([]*registry.Release, int, error) {
	return v.h.engine.Search(ctx, v.feed, text, offset, limit)
}

func (v *view) Referrers(ctx context.Context, pkg, version, artifactType string) ([]registry.Manifest, error) {
	r, t, err := v.place(ctx, pkg, version)
	if err != nil {
		return nil, err
	}
	return v.h.engine.ReleaseReferrers(ctx, r, t, artifactType)
}

func (v *view) SigningKeys(ctx context.Context) ([]artifacttypes.SigningKey, error) {
	list, err := v.h.engine.SigningKeys(ctx)
	keys := make([]artifacttypes.SigningKey, len(list))
	for i, k := range list {
		keys[i] = artifacttypes.SigningKey{ID: k.ID, SPKI: k.Public}
	}
	return keys, err
}

func (v *view) Blob(ctx context.Context, rel *registry.Release, d registry.Digest) (io.ReadCloser, error) {
	return v.h.engine.Blob(ctx, rel.Repo, d, 0, -1)
}

func (v *view) Open(ctx context.Context, rel *registry.Release, f registry.File) (io.ReadCloser, error) {
	return v.Blob(ctx, rel, f.Digest)
}

func (v *view) Serve(w http.ResponseWriter, r *http.Request, rel *registry.Release, f registry.File) error {
	h := w.Header()
	h.Set("ETag", `"`+f.Digest.String()+`"`)
	h.Set("Docker-Content-Digest", f.Digest.String())
	h.Set("X-Content-Type-Options", "nosniff")
	setDefault(h, "Content-Type", f.MediaType)
	cache := transfer.PrivateForever
	if v.h.public != nil && v.h.public(r.Context(), rel.Repo) {
		cache = transfer.PublicForever
	}
	setDefault(h, "Cache-Control", cache)
	c := transfer.Content{
		ETag: h.Get("ETag"), Size: f.Size,
		Open: func(off, n int64) (io.ReadCloser, error) {
			return v.h.engine.Blob(r.Context(), rel.Repo, f.Digest, off, n)
		},
	}
	if v.h.redirect != nil {
		c.Redirect = func() string { return v.h.redirect(r, rel.Repo, f.Descriptor) }
	}
	return transfer.Serve(w, r, v.h.log, c)
}

func setDefault(h http.Header, name, value string) {
	if h.Get(name) == "" {
		h.Set(name, value)
	}
}

func (v *view) Bytes(ctx context.Context, pkg, name string) ([]byte, error) {
	d, err := v.document(ctx, pkg, name)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = d.write(&b, false)
	return b.Bytes(), err
}
