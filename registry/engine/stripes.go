package engine

import (
	"context"
	"sync/atomic"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// stripeOf is the stripe of a name, the same in all processes: FNV-1a of 64
// bits (draft-eastlake-fnv), folded.
func stripeOf(r registry.Repo) int {
	h := uint64(14695981039346656037)
	for i := range len(r) {
		h = (h ^ uint64(r[i])) * 1099511628211
	}
	return int((h ^ h>>32) % meta.Stripes)
}

// memory is the authority of a process that alone changes its database: see
// ADR 0003. While a change is being committed, reads of its stripe go to the
// database.
type memory struct{ stripes [meta.Stripes]stripe }

var _ authority = (*memory)(nil)

// stripe stands for all repositories whose names hash to it.
type stripe struct {
	changing   atomic.Int64 // commits whose result is not known yet
	generation atomic.Uint64
}

func (*memory) validate(context.Context) error   { return nil }
func (*memory) revalidate(context.Context) error { return nil }
func (*memory) validation() ValidationStats      { return ValidationStats{} }
func (*memory) close()                           {}

// mark's order of loads matters: with no commit under way when changing is
// read, the generation read after it is at least that of the last commit
// anybody could have seen.
func (a *memory) mark(r registry.Repo) (mark, bool) {
	s := &a.stripes[stripeOf(r)]
	if s.changing.Load() != 0 {
		return mark{}, false
	}
	return mark{generation: s.generation.Load()}, true
}

// holds: no change began or ended meanwhile.
func (a *memory) holds(r registry.Repo, m mark) bool {
	s := &a.stripes[stripeOf(r)]
	return s.changing.Load() == 0 && s.generation.Load() == m.generation
}

func (a *memory) changing(names ...registry.Repo) (settled func()) {
	touched := make([]*stripe, len(names))
	for i, r := range names {
		touched[i] = &a.stripes[stripeOf(r)]
		touched[i].changing.Add(1)
	}
	return func() {
		for _, s := range touched {
			s.generation.Add(1)
			s.changing.Add(-1)
		}
	}
}

func (a *memory) changingAll() (settled func()) {
	for i := range a.stripes {
		a.stripes[i].changing.Add(1)
	}
	return func() {
		a.forget()
		for i := range a.stripes {
			a.stripes[i].changing.Add(-1)
		}
	}
}

func (a *memory) forget() {
	for i := range a.stripes {
		a.stripes[i].generation.Add(1)
	}
}
