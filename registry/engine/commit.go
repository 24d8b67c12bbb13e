package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

type changer func(context.Context, *meta.Tx) error

// change commits a change of r's names. Whoever reads r after the commit's
// result is known does not see an older state, in any process.
func (e *Engine) change(ctx context.Context, r registry.Repo, o meta.Options, f changer) error {
	for try := 1; ; try++ {
		err := e.changeKnowing(ctx, e.feeds.Load(), r, o, f)
		if !errors.Is(err, errFeedsMoved) {
			return err
		}
		if err := e.againKnowing(ctx, try); err != nil {
			return err
		}
	}
}

// changeKnowing is change for who decided by known which feed r is in. It
// returns errFeedsMoved, and nothing has happened, when other feeds are there
// by now.
func (e *Engine) changeKnowing(ctx context.Context, known *feedList, r registry.Repo, o meta.Options, f changer) error {
	return e.changeNames(ctx, e.touched(r), o, func(ctx context.Context, tx *meta.Tx) error {
		if mayBeInFeed(r) {
			switch seq, err := tx.StripeSeq(ctx, meta.FeedsStripe); {
			case err != nil:
				return err
			case seq != known.seq:
				return errFeedsMoved
			}
		}
		return f(ctx, tx)
	})
}

// errFeedsMoved says that feeds were made or removed since they were looked at.
var errFeedsMoved = errors.New("the feeds changed meanwhile")

// againKnowing prepares another try after errFeedsMoved.
func (e *Engine) againKnowing(ctx context.Context, try int) error {
	const tries = 10 // feeds are made by hand, or once in their life
	if try == tries {
		return registry.E("engine.change", registry.Unavailable, fmt.Errorf("%d times: %w", try, errFeedsMoved), "feeds are being made and removed all the time: try again")
	}
	return e.cache.revalidate(ctx)
}

// changeNames commits a change of what the given names stand for in caches.
func (e *Engine) changeNames(ctx context.Context, names []registry.Repo, o meta.Options, f changer) error {
	settled := e.cache.changing(names...)
	defer settled()
	return e.commit(ctx, o, func(ctx context.Context, tx *meta.Tx) error {
		if err := f(ctx, tx); err != nil {
			return err
		}
		return e.touchStripes(ctx, tx, names...)
	})
}

// changeAll commits a change of any number of repositories.
func (e *Engine) changeAll(ctx context.Context, o meta.Options, f changer) error {
	settled := e.cache.changingAll()
	defer settled()
	return e.commit(ctx, o, func(ctx context.Context, tx *meta.Tx) error {
		if err := f(ctx, tx); err != nil {
			return err
		}
		return e.touchAll(ctx, tx)
	})
}

// commit is Update after which ctx's request reads what it wrote.
func (e *Engine) commit(ctx context.Context, o meta.Options, f changer) error {
	defer outdate(ctx)
	return e.meta.Update(ctx, o, f)
}

// outdate makes ctx's request validate names again: it wrote some, or was told
// of others' changes that its last validation may have come before.
func outdate(ctx context.Context) {
	if reads := registry.ReadsOf(ctx); reads != nil {
		reads.Validated.Store(0)
	}
}

// touchStripes says in every process, once tx is committed, that what is kept
// of names is outdated. It comes last in a transaction.
func (e *Engine) touchStripes(ctx context.Context, tx *meta.Tx, names ...registry.Repo) error {
	stripes := make([]int, len(names))
	for i, r := range names {
		stripes[i] = stripeOf(r)
	}
	return tx.TouchStripes(ctx, stripes...)
}

// touchAll is touchStripes of every name there is.
func (e *Engine) touchAll(ctx context.Context, tx *meta.Tx) error {
	return tx.TouchStripes(ctx, meta.AllStripe)
}
