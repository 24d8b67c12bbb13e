package server

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/auth"
	"github.com/packhouse/packhouse/registry/config"
)

// redirects decides which blobs clients get from the storage itself.
type redirects struct {
	only, except []auth.Glob // only: none for all
	minSize      int64
	external     string // HOST:PORT of external_url, "" for none
	sign         func(req *http.Request, r registry.Repo, d registry.Digest) (string, error)
	log          *slog.Logger
}

// newRedirects returns nil where there are none.
func newRedirects(c config.Redirect, external string, log *slog.Logger) (*redirects, error) {
	if !c.Enabled {
		return nil, nil //nolint:nilnil // documented
	}
	x := &redirects{minSize: int64(c.MinSize), log: log}
	if u, err := url.Parse(external); err == nil {
		x.external = u.Host
	}
	for _, list := range []struct {
		key   string
		globs []string
		to    *[]auth.Glob
	}{{"repositories", c.Repositories, &x.only}, {"except", c.Except, &x.except}} {
		for _, text := range list.globs {
			g, err := auth.CompileGlob(text)
			if err != nil {
				return nil, fmt.Errorf("storage.redirect.%s: %w", list.key, err)
			}
			*list.to = append(*list.to, g)
		}
	}
	return x, nil
}

// url returns where req is sent for blob d of r, or "". A URL that cannot be
// signed is no reason to refuse what the server can send itself.
func (x *redirects) url(req *http.Request, r registry.Repo, d registry.Descriptor) string {
	matches := func(g auth.Glob) bool { return g.Match(string(r)) }
	if d.Size < x.minSize || len(x.only) > 0 && !slices.ContainsFunc(x.only, matches) || slices.ContainsFunc(x.except, matches) {
		return ""
	}
	to, err := x.sign(req, r, d.Digest)
	if err == nil && x.keepsCredentials(req, to) {
		return ""
	}
	if err != nil {
		x.log.WarnContext(req.Context(), "no URL of the storage: the blob is sent by the server", "repo", string(r), "digest", d.Digest.String(), "err", err)
		return ""
	}
	return to
}

// keepsCredentials tells whether clients show to the credentials that they sent
// here: they do so where the host is the same, whatever the port, or one below
// it. The storage has no use for them, and S3 refuses what comes with two.
func (x *redirects) keepsCredentials(req *http.Request, to string) bool {
	if req.Header["Authorization"] == nil {
		return false
	}
	u, err := url.Parse(to)
	if err != nil {
		return true
	}
	there := strings.ToLower(u.Hostname())
	names := append([]string{req.Host, x.external}, req.Header["X-Forwarded-Host"]...) // what a client may call it
	return slices.ContainsFunc(names, func(name string) bool {
		here := strings.ToLower((&url.URL{Host: name}).Hostname())
		return here != "" && (there == here || strings.HasSuffix(there, "."+here))
	})
}

// RedirectURL returns where a GET of blob d of r is sent, or "" for nowhere. It
// is nil where the configuration wants no redirects.
func (b *Backend) RedirectURL() func(req *http.Request, r registry.Repo, d registry.Descriptor) string {
	if b.redirects == nil {
		return nil
	}
	return b.redirects.url
}

// Public tells whether everybody may read r.
func (b *Backend) Public(ctx context.Context, r registry.Repo) bool {
	nobody := registry.WithCaller(ctx, &registry.Caller{Principal: registry.Anonymous, Asking: true, Identity: &auth.Identity{Kind: auth.Anonymous}})
	return b.Gate().Can(nobody, registry.Read, r) == nil
}
