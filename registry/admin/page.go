package admin

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/packhouse/packhouse/registry"
)

// pageSize is the most that a list returns at once.
const pageSize = 1000

// Page selects a part of a list.
type Page struct {
	Limit int    `json:"limit,omitempty" doc:"the most to return, up to 1000, which is also the default"`
	After string `json:"after,omitempty" doc:"where the page before ended, as its Link header says"`
}

type pager interface{ size() int }

// Element is one of a list; its key says where a page ended.
type Element interface{ key() string }

// Turnable is a pointer to parameters that have a [Page].
type Turnable[P any] interface {
	*P
	turn(after string)
}

func (p Page) size() int {
	if p.Limit == 0 {
		return pageSize
	}
	return min(p.Limit, pageSize)
}

func (p Page) check() error {
	if p.Limit < 0 {
		return badParameter(nil, "limit %d is less than 1", p.Limit)
	}
	return nil
}

//nolint:unused // by All, as a method of P
func (p *Page) turn(after string) { p.After = after }

// pageOf cuts p's page out of a whole list, which it sorts by key.
func pageOf[T Element](list []T, p Page) []T {
	slices.SortFunc(list, func(a, b T) int { return cmp.Compare(a.key(), b.key()) })
	from, found := slices.BinarySearchFunc(list, p.After, func(t T, key string) int { return cmp.Compare(t.key(), key) })
	if found {
		from++
	}
	return list[from:min(from+p.size(), len(list))]
}

// seen makes a list of nothing of the refusal of somebody who is known and may
// see nothing.
func seen[T any](list []T, err error) ([]T, error) {
	if errors.Is(err, registry.NameUnknown) {
		return nil, nil
	}
	return list, err
}

// All calls a list's operation for page after page.
func All[P any, T Element, PP Turnable[P]](ctx context.Context, c Caller, n Name[P, []T], p P) ([]T, error) {
	all := []T{}
	for {
		page, err := Call(ctx, c, n, p, nil)
		if err != nil || len(page) == 0 {
			return all, err
		}
		all = append(all, page...)
		PP(&p).turn(page[len(page)-1].key())
	}
}
