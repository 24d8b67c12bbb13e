package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"hash/fnv"
	"io"
	"strconv"
	"strings"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// Format is what the engine knows of a package format: functions, so that it
// depends on none. They are those of artifacttypes.Format.
type Format struct {
	Name          string
	Parser        int
	ArtifactTypes []string
	Sums          []string
	Fragments     []string

	Repository func(pkg string) (string, error)
	Tag        func(version string) (registry.Tag, error)
	Label      func(label string) error
	Inspect    func(ctx context.Context, name, mediaType string, r io.ReaderAt, size int64) (json.RawMessage, error)
	Describe   func(registry.Artifact) (registry.Facts, error)
	Envelope   func(registry.Facts, []registry.File) registry.Envelope
	Fragment   func(kind string, r *registry.Release, w *bytes.Buffer) error
	SignedText func(*registry.Release) []byte // nil where nothing is signed
}

// feedList is all feeds of one moment. They are few, and every push asks
// whether it is below one.
type feedList struct {
	byName map[string]registry.Feed
	seq    int64 // of meta.FeedsStripe, or of an earlier moment's
}

// loadFeeds reads the names of all feeds. seq was read before.
func (e *Engine) loadFeeds(ctx context.Context, seq int64) error {
	e.loading.Lock() // so that no older list replaces a newer one
	defer e.loading.Unlock()
	list, err := e.meta.Feeds(ctx)
	if err != nil {
		return err
	}
	feeds := &feedList{byName: make(map[string]registry.Feed, len(list)), seq: seq}
	for _, f := range list {
		feeds.byName[f.Name()] = f
	}
	e.feeds.Store(feeds)
	return nil
}

// reloadFeeds reads the feeds again after a commit that may have made one. The
// commit stands whatever comes of it.
func (e *Engine) reloadFeeds(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	reload := e.cache.revalidate
	if !e.meta.Shared() {
		reload = func(ctx context.Context) error { return e.loadFeeds(ctx, 0) }
	}
	if err := reload(ctx); err != nil {
		e.cfg.Log.ErrorContext(ctx, "feeds not read again, the next publish tries again", "err", err)
	}
}

// KnowFeeds makes sure that [Engine.Feed] knows every feed that somebody may
// have seen before the call.
func (e *Engine) KnowFeeds(ctx context.Context) error {
	return wrap("engine.KnowFeeds", e.cache.validate(ctx))
}

// Enter asks the gate for one verb on anything of a feed.
func (e *Engine) Enter(ctx context.Context, v registry.Verb, f registry.Feed) error {
	return e.canSome(ctx, v, f)
}

// FeedsOf lists the feeds of one format, in any order.
func (e *Engine) FeedsOf(ctx context.Context, format string) ([]registry.Feed, error) {
	if err := e.KnowFeeds(ctx); err != nil {
		return nil, err
	}
	var list []registry.Feed
	for _, f := range e.feeds.Load().byName {
		if f.Format == format {
			list = append(list, f)
		}
	}
	return list, nil
}

// Feed finds a feed by its name. ok is false when nobody made it yet. Where
// others may have made it, [Engine.KnowFeeds] comes first.
func (e *Engine) Feed(name string) (registry.Feed, bool) {
	f, ok := e.feeds.Load().byName[name]
	return f, ok
}

// feedOf returns the feed that r is in, and r's name below it.
func (e *Engine) feedOf(r registry.Repo) (f registry.Feed, below string, ok bool) {
	for prefix, rest := range prefixes(r) {
		if f, ok := e.Feed(prefix); ok {
			return f, rest, true
		}
	}
	return registry.Feed{}, "", false
}

// mayBeInFeed tells whether there can be a feed that r is in: its name has a
// namespace and a format before the package.
func mayBeInFeed(r registry.Repo) bool { return strings.Count(string(r), "/") >= 2 }

// prefixes yields each proper prefix of whole segments, with what follows it.
func prefixes(r registry.Repo) func(yield func(prefix, rest string) bool) {
	return func(yield func(string, string) bool) {
		for i := range len(r) {
			if r[i] == '/' && !yield(string(r[:i]), string(r[i+1:])) {
				return
			}
		}
	}
}

// feedName splits a prefix into namespace and format, if it could be a feed's.
func (e *Engine) feedName(prefix string) (registry.Feed, bool) {
	i := strings.LastIndexByte(prefix, '/')
	if i < 0 {
		return registry.Feed{}, false
	}
	f := registry.Feed{Namespace: prefix[:i], Format: prefix[i+1:]}
	return f, e.formats[f.Format] != nil
}

// buckets is how many parts the documents of a feed have: a publish costs the
// rebuilding of one.
const buckets = 512

func bucketOf(r registry.Repo) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(r))
	return int(h.Sum32() % buckets)
}

// bucketKey stands for one bucket of a feed in the cache; no repository can be
// called so.
func bucketKey(feed string, bucket int) registry.Repo {
	return registry.Repo(feed + "#" + strconv.Itoa(bucket))
}

// touched lists what a change of r outdates in the cache: r and, where r is or
// may become a package, the feed's documents and the bucket r is in.
func (e *Engine) touched(r registry.Repo) []registry.Repo {
	list := []registry.Repo{r}
	for prefix := range prefixes(r) {
		if _, ok := e.feedName(prefix); ok {
			list = append(list, registry.Repo(prefix), bucketKey(prefix, bucketOf(r)))
		}
	}
	return list
}

// ensureFeed finds the feed or makes it, unless repositories that are no
// packages lie where its packages would.
func (e *Engine) ensureFeed(ctx context.Context, tx *meta.Tx, f registry.Feed) (registry.Feed, error) {
	const op = "engine.ensureFeed"
	// Somebody else's first publish may have made it since f was looked up.
	switch known, err := tx.Feed(ctx, f.Namespace, f.Format); {
	case err == nil:
		f.ID = known
	case !errors.Is(err, meta.ErrNotFound):
		return f, err
	default:
		f.ID = 0 // or somebody removed it
	}
	if f.ID == 0 {
		switch r, err := tx.InTheWay(ctx, f.Name()); {
		case err == nil:
			return f, registry.E(op, registry.Conflict, nil, "%s cannot become a feed of %s packages while %s, which is none, lies below it: use another namespace, or remove that with `packhouse repo delete`", f.Name(), f.Format, r)
		case !errors.Is(err, meta.ErrNotFound):
			return f, err
		}
	}
	if f.ID == 0 {
		if err := tx.TouchStripes(ctx, meta.FeedsStripe); err != nil {
			return f, err
		}
	}
	return tx.EnsureFeed(ctx, f.Namespace, f.Format)
}
