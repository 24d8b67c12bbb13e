package engine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"sync"

	"github.com/packhouse/packhouse/storage/meta"
)

// keys gives out storage keys that nobody else can write. They come in blocks
// of 256 under one random token, recorded before first use:
//
//	/objects/<first two of token>/<token>-<00…ff>
//
// A block's keys share a directory, so that concurrent uploads can share its
// fsync.
type keys struct {
	meta *meta.Store

	mu    sync.Mutex
	token string
	next  int
}

const blockSize = 256

func (k *keys) take(ctx context.Context) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.token == "" || k.next == blockSize {
		token := newToken()
		if err := k.meta.Update(ctx, keeping, func(ctx context.Context, tx *meta.Tx) error { return tx.ReserveBlock(ctx, token) }); err != nil {
			return "", fmt.Errorf("reserve storage keys: %w", err)
		}
		k.token, k.next = token, 0
	}
	k.next++
	return objectKey(k.token, k.next-1), nil
}

func newToken() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return hex.EncodeToString(b[:])
}

func objectKey(token string, n int) string {
	return fmt.Sprintf("/objects/%s/%s-%02x", token[:2], token, n)
}

// sweep deletes what a killed process left behind: objects under the keys it
// had reserved that neither a blob nor an upload session holds.
func (e *Engine) sweep(ctx context.Context, tokens []string) {
	for _, token := range tokens {
		if err := e.sweepBlock(ctx, token); err != nil {
			if ctx.Err() == nil {
				e.cfg.Log.WarnContext(ctx, "orphaned objects were not removed, the next start tries again", "token", token, "err", err)
			}
			return
		}
	}
}

func (e *Engine) sweepBlock(ctx context.Context, token string) error {
	for n := range blockSize {
		key := objectKey(token, n)
		used, err := e.meta.KeyUsed(ctx, key)
		if err != nil {
			return err
		}
		if used {
			continue
		}
		if err := e.blobs.Delete(ctx, key); err != nil {
			return err
		}
	}
	return e.meta.Update(ctx, cleaning, func(ctx context.Context, tx *meta.Tx) error { return tx.RemoveBlock(ctx, token) })
}

// discard deletes objects that no row names. What fails is left to the next
// start's sweep, or to fsck when the block was swept already.
func (e *Engine) discard(ctx context.Context, keys ...string) {
	ctx = context.WithoutCancel(ctx)
	for _, key := range keys {
		if meta.IsInline(key) {
			continue
		}
		if err := e.blobs.Delete(ctx, key); err != nil {
			e.cfg.Log.WarnContext(ctx, "an unused object was not deleted", "key", key, "err", err)
		}
	}
}
