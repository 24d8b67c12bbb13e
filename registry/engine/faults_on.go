//go:build faults

package engine

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// fault is a bug that tests of the tests seed, by PACKHOUSE_FAULT:
//
//	skip-validation   names are answered from memory without asking whether they changed
//	stale-fill        what was found before a change is kept as if it was found after it
//	cas-not-atomic    a push's condition is checked some time before its commit
//	two-open-periods  a tag that moved leads to what it led to before, every other time
//	revive-deleted    a deleted tag is there still, where it was read before
//
// No binary that anybody should run is built with the tag faults.
type fault struct {
	name string

	mu    sync.Mutex
	tags  map[string][]*entry // what each tag led to, the latest last
	turns map[string]int
}

// gap is the time in which a race is lost.
const gap = 3 * time.Millisecond

func newFault() *fault {
	name := os.Getenv("PACKHOUSE_FAULT") //nolint:forbidigo // in no binary that is shipped
	if name == "" {
		return nil
	}
	return &fault{name: name, tags: map[string][]*entry{}, turns: map[string]int{}}
}

func (f *fault) is(name string) bool { return f != nil && f.name == name }

func (f *fault) skipsValidation() bool { return f.is("skip-validation") }

// filled keeps e a second time, under what is the present mark by then.
func (f *fault) filled(c *cache, r registry.Repo, at key, e *entry) {
	if !f.is("stale-fill") {
		return
	}
	<-time.After(gap)
	if m, ok := c.mark(r); ok {
		at.origin, at.generation = m.origin, m.generation
		c.entries.Set(at, e)
	}
}

// before checks o's condition now, and takes it out of o.
func (f *fault) before(ctx context.Context, e *Engine, r registry.Repo, o registry.PutOptions) (registry.PutOptions, error) {
	if !f.is("cas-not-atomic") {
		return o, nil
	}
	for _, t := range o.Tags {
		current, err := e.meta.Tagged(ctx, r, t)
		if err != nil && !errors.Is(err, meta.ErrNotFound) {
			return o, wrap("engine.fault", err)
		}
		if err := o.If.Check("engine.fault", "tag "+string(t), current.Digest); err != nil {
			return o, err
		}
	}
	<-time.After(gap)
	o.If = registry.Condition{}
	return o, nil
}

func (f *fault) finder(at key, find finder) finder {
	if at.kind != byTag || !f.is("two-open-periods") && !f.is("revive-deleted") {
		return find
	}
	return func(ctx context.Context) (*entry, error) {
		e, err := find(ctx)
		f.mu.Lock()
		defer f.mu.Unlock()
		tag := string(at.repo) + ":" + at.name
		known := f.tags[tag]
		if err == nil && (len(known) == 0 || known[len(known)-1].manifest.Digest != e.manifest.Digest) {
			known = append(known, e)
			f.tags[tag] = known
		}
		f.turns[tag]++
		switch {
		case err == nil && f.is("two-open-periods") && len(known) > 1 && f.turns[tag]%2 == 1:
			return known[len(known)-2], nil
		case errors.Is(err, meta.ErrNotFound) && f.is("revive-deleted") && len(known) > 0:
			return known[len(known)-1], nil
		}
		return e, err
	}
}
