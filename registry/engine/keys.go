package engine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/packhouse/packhouse/storage/meta"
)

// keys gives out storage keys that nobody else can write. They come in blocks
// of 256 under one random token, recorded with this replica's id before first
// use; see [meta.ObjectKey]. A block's keys share a directory, so that
// concurrent uploads can share its fsync.
type keys struct {
	meta  *meta.Store
	owner string // this replica

	mu    sync.Mutex
	token string
	next  int
	full  []fullBlock // earlier blocks, the oldest first
}

// fullBlock is a block all of whose keys were taken.
type fullBlock struct {
	token string
	since time.Time
}

func (k *keys) take(ctx context.Context) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.token == "" || k.next == meta.BlockSize {
		token := newToken()
		if err := k.meta.Update(ctx, keeping, func(ctx context.Context, tx *meta.Tx) error { return tx.ReserveBlock(ctx, token, k.owner) }); err != nil {
			return "", fmt.Errorf("reserve storage keys: %w", err)
		}
		k.retire()
		k.token, k.next = token, 0
	}
	k.next++
	return meta.ObjectKey(k.token, k.next-1), nil
}

// retire ends the use of the present block. The caller holds mu.
func (k *keys) retire() {
	if k.token != "" {
		k.full = append(k.full, fullBlock{k.token, k.meta.Now()})
	}
	k.token = ""
}

// renew makes the next key one of a new block: the present one may have been
// given up.
func (k *keys) renew() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.retire()
}

// lost looks whether a commit failed because the present block was given up:
// then the next key is of a new one.
func (k *keys) lost(err error, objects ...meta.Object) {
	if !errors.Is(err, meta.ErrSwept) {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, o := range objects {
		if k.token != "" && strings.Contains(o.Key, k.token) {
			k.retire()
		}
	}
}

// settled takes the blocks that were full before the given time: no request can
// still be about to commit their keys.
func (k *keys) settled(before time.Time) (tokens []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.full) > 0 && k.full[0].since.Before(before) {
		tokens = append(tokens, k.full[0].token)
		k.full = k.full[1:]
	}
	return tokens
}

func newToken() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return hex.EncodeToString(b[:])
}

// discard deletes objects that no row names. What fails is left to the sweep
// of their block, or to fsck when the block was swept already.
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
