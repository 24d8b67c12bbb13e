package engine

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/seal"
	"github.com/packhouse/packhouse/storage/blob"
	rediscache "github.com/packhouse/packhouse/storage/cache"
	"github.com/packhouse/packhouse/storage/meta"
)

// Limits bound what one request may ask for.
type Limits struct {
	Manifest int64 // bytes of one manifest
	Blob     int64 // bytes of one blob
	File     int64 // bytes of one package file; as Blob for 0

	PrincipalUploads  int // sessions that one principal may have open, 0 for any number
	RepositoryUploads int // sessions that may be open in one repository, 0 for any number
}

// Config is all that an engine needs. Meta, Blobs, Gate, Seal and Log are required.
type Config struct {
	Meta  *meta.Store
	Blobs *blob.Store
	Gate  registry.Gate
	Seal  *seal.Box // of the registry's signing key
	Log   *slog.Logger

	Limits     Limits
	Sparse     bool          // accept manifests whose blobs or children are not here
	Trash      time.Duration // how long deleted and moved names can be restored
	Lease      time.Duration // how long an unreferenced blob is safe from collection
	UploadTTL  time.Duration // how long an upload session may be idle
	CacheBytes int64         // manifests, names and blob locations held in memory
	Collection Collection    // of garbage

	// Of a database that several processes share; else they are ignored.
	Redis      *rediscache.Store // nil for none
	Build      string            // tells this binary from others of other code
	StaleReads time.Duration     // see [registry.Reads]
	// AccessMoved is told that another process may have changed who may do
	// what. It must not wait. nil for nobody.
	AccessMoved func()

	Formats []Format // of packages; names are unique
}

// Engine implements registry.Registry.
type Engine struct {
	registry.Unimplemented
	cfg   Config
	meta  *meta.Store
	blobs *blob.Store
	cache *cache
	keys  keys

	formats map[string]*Format
	loading sync.Mutex // of feeds
	feeds   atomic.Pointer[feedList]
	fault   *fault
	growing [64]sync.Mutex // by release: those who add to one take turns
	signer  signer

	replica     string       // this process, among those that share the database
	beaten      atomic.Int64 // when it last said that it runs, Unix milliseconds
	collecting  sync.Mutex   // one collection, check or adoption at a time: see [Engine.upkeep]
	collections collections

	stop       context.CancelFunc
	background sync.WaitGroup
}

var _ registry.Registry = (*Engine)(nil)

// New starts an engine. [Engine.Close] ends its background work; the stores
// stay the caller's to close.
func New(ctx context.Context, cfg Config) (*Engine, error) {
	switch {
	case cfg.Meta == nil, cfg.Blobs == nil, cfg.Gate == nil, cfg.Seal == nil, cfg.Log == nil:
		return nil, errors.New("engine: Meta, Blobs, Gate, Seal and Log are required")
	case cfg.Limits.Manifest <= 0, cfg.Limits.Blob <= 0, cfg.Lease <= 0, cfg.UploadTTL <= 0, cfg.CacheBytes <= 0:
		return nil, errors.New("engine: limits, Lease, UploadTTL and CacheBytes must be positive")
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	e := &Engine{cfg: cfg, meta: cfg.Meta, blobs: cfg.Blobs, replica: newToken(), stop: stop, formats: map[string]*Format{}, fault: newFault()}
	e.keys = keys{meta: cfg.Meta, owner: e.replica}
	if e.cfg.Limits.File <= 0 {
		e.cfg.Limits.File = cfg.Limits.Blob
	}
	for i := range cfg.Formats {
		e.formats[cfg.Formats[i].Name] = &cfg.Formats[i]
	}
	if err := e.openCache(ctx); err != nil {
		stop()
		return nil, err
	}
	if err := e.sealKeys(ctx); err != nil {
		stop()
		e.cache.close()
		return nil, err
	}
	if e.meta.Shared() {
		if err := e.beat(ctx); err != nil {
			stop()
			e.cache.close()
			return nil, err
		}
		e.background.Go(func() { e.keepBeating(background) })
	}
	e.background.Go(func() { e.sweepAtStart(background) })
	e.background.Go(func() { e.expireUploads(background) })
	e.background.Go(func() { e.collectByItself(background) })
	return e, nil
}

// Close stops background work and waits for it.
func (e *Engine) Close() error {
	e.stop()
	e.background.Wait()
	e.cache.close()
	if e.meta.Shared() {
		e.farewell()
	}
	return nil
}

// can asks the gate for exactly one verb.
func (e *Engine) can(ctx context.Context, v registry.Verb, r registry.Repo) error {
	return e.cfg.Gate.Can(ctx, v, r)
}

// may tells whether the caller may, without trying.
func (e *Engine) may(ctx context.Context, v registry.Verb, r registry.Repo) bool {
	return e.cfg.Gate.Can(registry.Asking(ctx), v, r) == nil
}

// administers asks whether the caller administers a namespace with all that is
// below it: one that may do everything to a repository of the same name does not.
func (e *Engine) administers(ctx context.Context, op, namespace string) error {
	name := registry.Repo(namespace)
	if err := e.can(ctx, registry.Admin, name); err != nil {
		return err
	}
	if !e.cfg.Gate.All(ctx, registry.Admin, name) {
		return registry.E(op, registry.Denied, nil, "this takes the right to administer all of namespace %q", namespace)
	}
	return nil
}

// canSome asks the gate for one verb on anything of a feed: the package is not
// known yet, and will be asked for once it is.
func (e *Engine) canSome(ctx context.Context, v registry.Verb, f registry.Feed) error {
	return e.cfg.Gate.Some(ctx, v, registry.Repo(f.Name()))
}

// canAll tells whether a listing of a feed needs no filter.
func (e *Engine) canAll(ctx context.Context, f registry.Feed) bool {
	return e.cfg.Gate.All(ctx, registry.Read, registry.Repo(f.Name()))
}

var (
	durable = meta.Options{Durable: true}
	freeing = meta.Options{Durable: true, Frees: true}
	passing = meta.Options{} // upload sessions: not promised to survive a power cut
	// What changes nothing that anybody sees is not in the audit.
	keeping  = meta.Options{Durable: true, Unaudited: true}
	cleaning = meta.Options{Durable: true, Frees: true, Unaudited: true}
)

// wrap turns a foreign error into one that a client may see. What it does not
// know stays foreign, which renders as an internal error.
func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	if _, ours := errors.AsType[*registry.Error](err); ours {
		return err
	}
	if full, ok := errors.AsType[*meta.QuotaError](err); ok {
		return quotaExceeded(op, full)
	}
	switch {
	case errors.Is(err, meta.ErrNoSpace), errors.Is(err, blob.ErrNoSpace):
		return registry.E(op, registry.NoSpace, err, "the registry's storage is full: delete something or ask its operator for space; reading goes on")
	case errors.Is(err, meta.ErrSwept):
		return registry.E(op, registry.Unavailable, err, "this upload was stalled for so long that its place in the storage was given up: send it again")
	case errors.Is(err, meta.ErrUnavailable):
		return registry.E(op, registry.Unavailable, err, "the registry's database does not answer in time: try again in a few seconds").WithDetail(registry.RetryIn(databaseRetry))
	case errors.Is(err, meta.ErrUncertain):
		return registry.E(op, registry.Unavailable, err, "the registry's database failed while it stored the change, which may have been made: look before you try again").WithDetail(map[string]any{"uncertain": true})
	case errors.Is(err, blob.ErrUnavailable):
		return registry.E(op, registry.Unavailable, err, "the registry's object storage does not answer: try again in a few seconds")
	case errors.Is(err, meta.ErrReadOnly), errors.Is(err, blob.ErrReadOnly):
		return registry.E(op, registry.Unavailable, err, "the registry's storage cannot be written now; reading goes on")
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return &registry.Error{Code: registry.Internal, Op: op, Message: "internal error", Err: err}
}

// databaseRetry is how soon a database that is away is worth asking again.
const databaseRetry = 2 * time.Second

// absent says which part of "repository, then content" is not there.
func (e *Engine) absent(ctx context.Context, op string, r registry.Repo, c registry.Code, format string, a ...any) error {
	switch _, err := e.meta.Repository(ctx, r); {
	case err == nil:
		return registry.E(op, c, nil, format, a...)
	case errors.Is(err, meta.ErrNotFound):
		return unknownRepo(op, r)
	default:
		return wrap(op, err)
	}
}

func unknownRepo(op string, r registry.Repo) error {
	return registry.E(op, registry.NameUnknown, nil, "there is no repository %s", r)
}
