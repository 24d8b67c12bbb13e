package server

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/audit"
	"github.com/packhouse/packhouse/registry/auth"
	"github.com/packhouse/packhouse/registry/config"
	"github.com/packhouse/packhouse/registry/egress"
	"github.com/packhouse/packhouse/registry/engine"
	"github.com/packhouse/packhouse/registry/feed"
	"github.com/packhouse/packhouse/registry/limit"
	"github.com/packhouse/packhouse/registry/oidc"
	"github.com/packhouse/packhouse/registry/seal"
	"github.com/packhouse/packhouse/storage/cache"
	"github.com/packhouse/packhouse/storage/meta"
)

// Backend is an engine over an opened data directory, with all that decides
// who may use it. Whoever holds it is the only process that does.
type Backend struct {
	Dir       *Dir
	Engine    *engine.Engine
	Feeds     *feed.Handler
	Auth      *auth.Service
	Audit     *audit.Trail
	OIDC      *oidc.Service
	Limits    *limit.Limiter
	meta      *meta.Store
	redirects *redirects   // nil for none
	redis     *cache.Store // nil for none
	watch     Watch
}

// Gate decides what callers may do.
func (b *Backend) Gate() registry.Gate { return b.Auth.Gate() }

// Open locks the data directory and starts an engine over its stores. It
// returns a *LockedError while another process has the directory. c must have
// been checked, its formats' settings too.
func Open(ctx context.Context, c config.Config, formats []artifacttypes.Format, log *slog.Logger) (*Backend, error) {
	return OpenWatched(ctx, c, formats, log, Watch{})
}

// OpenWatched is Open of a server whose work is measured and traced.
func OpenWatched(ctx context.Context, c config.Config, formats []artifacttypes.Format, log *slog.Logger, w Watch) (_ *Backend, err error) {
	b := &Backend{watch: w}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
		}
	}()
	if b.Dir, err = OpenDir(c.Data); err != nil {
		return nil, err
	}
	box, err := openBox(c.Secrets, b.Dir.Path())
	if err != nil {
		return nil, err
	}
	if b.meta, err = meta.Open(ctx, w.database(meta.Config{Dir: b.Dir.Path(), URL: string(c.Database.URL), Connections: c.Database.Connections})); err != nil {
		return nil, err
	}
	blobs, err := OpenStorage(ctx, c.Storage, b.Dir.Path())
	if err != nil {
		return nil, err
	}
	w.objects(blobs)
	if b.redirects, err = newRedirects(c.Storage.Redirect, c.ExternalURL, log); err != nil {
		return nil, err
	}
	if err := b.openAccess(ctx, c, box, log); err != nil {
		return nil, err
	}
	if b.redis, err = b.openRedis(ctx, c.Redis, box, log); err != nil {
		return nil, err
	}
	b.Engine, err = engine.New(ctx, engine.Config{
		Meta: b.meta, Blobs: blobs, Gate: b.Gate(), Seal: box, Log: log,
		Limits: engine.Limits{
			Manifest: int64(c.Limits.Manifest), Blob: int64(c.Limits.Blob), File: int64(c.Limits.Package),
			PrincipalUploads: c.Rates.PrincipalUploads, RepositoryUploads: c.Rates.RepositoryUploads,
		},
		Sparse: c.Manifests.Sparse, Trash: time.Duration(c.Trash.Window), Lease: time.Duration(c.GC.Lease),
		UploadTTL: time.Duration(c.Uploads.TTL), CacheBytes: int64(c.Cache.Size),
		Collection: engine.Collection{
			Every: time.Duration(c.GC.Every), Untagged: time.Duration(c.GC.Untagged), Referrers: time.Duration(c.GC.Referrers), Rate: c.GC.Rate,
		},
		Redis: b.redis, Build: build(), StaleReads: time.Duration(c.Database.StaleReads), AccessMoved: b.Auth.Nudge,
		Formats: feed.EngineFormats(formats),
	})
	if err != nil {
		return nil, fmt.Errorf("start engine: %w", err)
	}
	if b.redirects != nil {
		b.redirects.sign = b.Engine.BlobURL
	}
	b.Feeds, err = feed.New(feed.Options{
		Formats: formats, Engine: b.Engine, Settings: c.Formats, Log: log, Accounts: b.account, Redirect: b.RedirectURL(), Public: b.Public,
	})
	if err != nil {
		return nil, fmt.Errorf("start formats: %w", err)
	}
	b.measure(ctx)
	return b, nil
}

// openAccess starts what decides who may do what, and what records it.
func (b *Backend) openAccess(ctx context.Context, c config.Config, box *seal.Box, log *slog.Logger) (err error) {
	perSecond := func(n, burst int) limit.Rate { return limit.Rate{PerSecond: float64(n), Burst: burst} }
	b.Limits = limit.New(limit.Config{
		Principal:     perSecond(c.Rates.PrincipalRequests, c.Rates.PrincipalBurst),
		Address:       perSecond(c.Rates.AddressRequests, c.Rates.AddressBurst),
		FailedLogins:  limit.Rate{PerSecond: float64(c.Rates.FailedLogins) / 60, Burst: c.Rates.FailedBurst},
		BytesInFlight: int64(c.Rates.InFlight),
	})
	dialer := &egress.Dialer{Wrap: b.watch.Tracing.Wrap}
	for _, n := range c.Egress.Allow {
		dialer.Allow = append(dialer.Allow, n.Prefix)
	}
	b.Auth, err = auth.New(ctx, auth.Config{
		Meta: b.meta, Seal: box, Log: log, Limits: attempts{b.Limits, b},
		TokenTTL: time.Duration(c.Tokens.TTL), TokenMaxTTL: time.Duration(c.Tokens.MaxTTL), RotateGrace: time.Duration(c.Tokens.Grace),
		Htpasswd: c.Htpasswd,
		LDAP: auth.LDAPConfig{
			URL: c.LDAP.URL, StartTLS: c.LDAP.StartTLS, BindDN: c.LDAP.BindDN, BaseDN: c.LDAP.BaseDN,
			GroupFilter: c.LDAP.GroupBy, GroupAttribute: c.LDAP.GroupName, CACert: c.LDAP.CACert, Dial: dialer.DialContext,
		},
		Lookup: b.incarnation,
		Open: func(p *auth.Policy) bool {
			return c.InsecureOpen || c.Auth == config.AuthAuto && config.IsLoopback(c.Addr) && !p.Configured()
		},
		Denied: b.denied,
	})
	if err != nil {
		return fmt.Errorf("start access: %w", err)
	}
	if c.Secrets.Previous != "" { // else there is nothing to write, which a full disk could refuse
		if _, err := b.Auth.Reseal(ctx); err != nil {
			return fmt.Errorf("seal the server's keys again: %w", err)
		}
	}
	checkpoints := c.Audit.Checkpoints
	if checkpoints == "" {
		checkpoints = filepath.Join(b.Dir.Path(), "audit")
	}
	b.Audit, err = audit.New(ctx, audit.Config{
		Meta: b.meta, Gate: b.Gate(), Log: log, Checkpoints: checkpoints, Every: time.Duration(c.Audit.Every), Retention: time.Duration(c.Audit.Retention),
		Key: func(ctx context.Context) (string, ed25519.PrivateKey, error) {
			return b.Auth.SigningKey(ctx, "checkpoint")
		},
	})
	if err != nil {
		return fmt.Errorf("start audit: %w", err)
	}
	b.OIDC, err = oidc.New(oidc.Config{
		Auth: b.Auth, Meta: b.meta, Seal: box, Egress: dialer, Log: log, External: strings.TrimRight(c.ExternalURL, "/"), Audience: c.OIDC.Audience,
		Base: func(r *http.Request) string { return registry.CallerOf(r.Context()).Base },
		People: oidc.Provider{
			Issuer: c.OIDC.Issuer, ClientID: c.OIDC.ClientID, ClientSecret: string(c.OIDC.ClientSecret), Scopes: c.OIDC.Scopes,
			NameClaim: c.OIDC.NameClaim, GroupsClaim: c.OIDC.GroupsClaim,
		},
	})
	return err
}

// denied notes a refusal for the audit.
func (b *Backend) denied(ctx context.Context, v registry.Verb, r registry.Repo) {
	code := registry.Denied
	if id := identity(ctx); id == nil || id.Kind == auth.Anonymous {
		code = registry.Unauthorized
	}
	b.Audit.Denials().Note(ctx, v, r, code)
}

// incarnation is what tokens of Docker's protocol remember of a repository.
func (b *Backend) incarnation(ctx context.Context, r registry.Repo) (auth.Incarnation, error) {
	repo, err := b.Engine.Incarnation(ctx, r)
	i := auth.Incarnation{Creator: repo.Creator}
	if repo.NamespaceID != 0 {
		i.Namespace = strconv.FormatInt(repo.NamespaceID, 10) + "." + strconv.FormatInt(repo.Incarnation, 10)
	}
	if !repo.Created.IsZero() {
		i.Repository = repo.Created.UnixMilli()
	}
	return i, err
}

// openBox opens what secrets in the database are sealed with.
func openBox(s config.Secrets, dir string) (*seal.Box, error) {
	if s.Key == "" {
		return seal.LoadOrCreate(filepath.Join(dir, "secret.key"))
	}
	var keys [][]byte
	for _, text := range []config.Secret{s.Key, s.Previous} {
		if text == "" {
			continue
		}
		key, err := base64.StdEncoding.DecodeString(string(text))
		if err != nil || len(key) != 32 {
			return nil, errors.New("secrets: a key is not base64 of 32 bytes: make one with `openssl rand -base64 32`")
		}
		keys = append(keys, key)
	}
	return seal.New(keys...)
}

// Close ends the engine's work, closes the stores and gives the directory up.
func (b *Backend) Close() error {
	var errs []error
	if b.Engine != nil {
		errs = append(errs, b.Engine.Close())
	}
	if b.redis != nil {
		errs = append(errs, b.redis.Close())
	}
	if b.Audit != nil {
		errs = append(errs, b.Audit.Close())
	}
	if b.Auth != nil {
		errs = append(errs, b.Auth.Close())
	}
	if b.meta != nil {
		errs = append(errs, b.meta.Close())
	}
	if b.Dir != nil {
		errs = append(errs, b.Dir.Close())
	}
	return errors.Join(errs...)
}
