package engine

import (
	"context"
	"encoding"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/google/uuid"
	"github.com/opencontainers/go-digest"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// upload is one request's hold on a session. All of its state is in the
// database, at the end of the last segment.
type upload struct {
	e       *Engine
	session meta.UploadSession
	repo    registry.Repo
}

var _ registry.Upload = (*upload)(nil)

// BeginUpload implements registry.Writer.
func (e *Engine) BeginUpload(ctx context.Context, r registry.Repo, a digest.Algorithm) (registry.Upload, error) {
	const op = "engine.BeginUpload"
	if err := e.can(ctx, registry.Create, r); err != nil {
		return nil, err
	}
	if err := e.admitUpload(ctx, op, r); err != nil {
		return nil, err
	}
	s := meta.UploadSession{ID: uuid.NewString(), Repository: r, Principal: registry.CallerOf(ctx).Principal, Algorithm: a}
	err := e.meta.Update(ctx, passing, func(ctx context.Context, tx *meta.Tx) error { return tx.AddUpload(ctx, s) })
	if err != nil {
		return nil, wrap(op, err)
	}
	return &upload{e: e, session: s, repo: r}, nil
}

// admitUpload refuses one more session where there are too many, or where
// nothing that it brings could be kept.
func (e *Engine) admitUpload(ctx context.Context, op string, r registry.Repo) error {
	if err := e.room(ctx, op, r); err != nil {
		return err
	}
	principal := registry.CallerOf(ctx).Principal
	ofPrincipal, ofRepository := e.cfg.Limits.PrincipalUploads, e.cfg.Limits.RepositoryUploads
	if principal == registry.Anonymous {
		ofPrincipal = 0 // that is many
	}
	if ofPrincipal == 0 && ofRepository == 0 {
		return nil
	}
	mine, all, err := e.meta.OpenUploads(ctx, principal, r, max(ofPrincipal, ofRepository))
	switch {
	case err != nil:
		return wrap(op, err)
	case ofPrincipal > 0 && mine >= ofPrincipal:
		return registry.E(op, registry.TooManyRequests, nil, "%s has %d unfinished uploads: finish or cancel one, or wait until they expire (uploads.ttl)", principal, mine)
	case ofRepository > 0 && all >= ofRepository:
		return registry.E(op, registry.TooManyRequests, nil, "%s has %d unfinished uploads: finish or cancel one, or wait until they expire (uploads.ttl)", r, all)
	}
	return nil
}

// room refuses early what a full namespace could not keep; the commit decides.
func (e *Engine) room(ctx context.Context, op string, r registry.Repo) error {
	return wrap(op, e.meta.QuotaReached(ctx, r))
}

// ResumeUpload implements registry.Writer.
func (e *Engine) ResumeUpload(ctx context.Context, r registry.Repo, id string) (registry.Upload, error) {
	const op = "engine.ResumeUpload"
	if err := e.can(ctx, registry.Create, r); err != nil {
		return nil, err
	}
	s, err := e.meta.Upload(ctx, r, id)
	switch {
	case errors.Is(err, meta.ErrNotFound), err == nil && s.Principal != registry.CallerOf(ctx).Principal:
		return nil, unknownUpload(op) // somebody else's is as good as none
	case err != nil:
		return nil, wrap(op, err)
	}
	return &upload{e: e, session: s, repo: r}, nil
}

func unknownUpload(op string) error {
	return registry.E(op, registry.BlobUploadUnknown, nil, "there is no such upload session: it was finished, cancelled or has expired; begin a new one")
}

func (u *upload) ID() string  { return u.session.ID }
func (u *upload) Size() int64 { return u.session.Size() }

// Append implements registry.Upload.
func (u *upload) Append(ctx context.Context, body io.Reader, at int64) (int64, error) {
	const op = "engine.Upload.Append"
	if err := u.expect(op, at); err != nil {
		return u.Size(), err
	}
	h, err := u.hash(u.session.Algorithm)
	if err != nil {
		return u.Size(), wrap(op, err)
	}
	o, bodyErr, err := u.e.store(ctx, cut{body}, h, u.room())
	if err != nil {
		return u.Size(), u.e.storeError(op, err)
	}
	if o.Size > 0 {
		if err := u.save(ctx, op, o, h); err != nil {
			if !errors.Is(err, meta.ErrUncertain) {
				u.e.discardObjects(ctx, o)
			}
			return u.Size(), err
		}
	}
	if bodyErr != nil {
		return u.Size(), brokenBody(op, bodyErr)
	}
	return u.Size(), nil
}

// save makes o the session's next segment.
func (u *upload) save(ctx context.Context, op string, o meta.Object, h hash.Hash) error {
	state, err := h.(encoding.BinaryMarshaler).MarshalBinary() // as all of crypto's hashes
	if err != nil {
		return wrap(op, err)
	}
	ctx = context.WithoutCancel(ctx) // a client that hung up will come back for what it sent
	err = u.e.meta.Update(ctx, passing, func(ctx context.Context, tx *meta.Tx) error {
		return tx.AddSegment(ctx, u.session.ID, len(u.session.Segments), o, state)
	})
	switch {
	case errors.Is(err, meta.ErrNotFound):
		return raced(op)
	case err != nil:
		u.e.keys.lost(err, o)
		return wrap(op, err)
	}
	o.Saved = true
	u.session.Segments = append(u.session.Segments, o)
	u.session.HashState = state
	return nil
}

func raced(op string) error {
	return registry.E(op, registry.RangeInvalid, nil, "another request continued or ended this upload session: ask for its status")
}

// Commit implements registry.Upload.
func (u *upload) Commit(ctx context.Context, body io.Reader, at int64, want registry.Digest) (registry.Descriptor, error) {
	const op = "engine.Upload.Commit"
	if err := u.expect(op, at); err != nil {
		return registry.Descriptor{}, err
	}
	h, err := u.hash(want.Algorithm())
	switch {
	case errors.Is(err, errOtherAlgorithm):
		h = want.Algorithm().Hash()
		if err := u.e.rehash(ctx, u.session.Segments, h); err != nil {
			return registry.Descriptor{}, wrap(op, err)
		}
	case err != nil:
		return registry.Descriptor{}, wrap(op, err)
	}
	var last meta.Object
	if body != nil {
		var bodyErr error
		if last, bodyErr, err = u.e.store(ctx, cut{body}, h, u.room()); err != nil {
			return registry.Descriptor{}, u.e.storeError(op, err)
		}
		if bodyErr != nil {
			u.e.discardObjects(ctx, last) // nothing hashed by want's algorithm could be resumed
			return registry.Descriptor{}, brokenBody(op, bodyErr)
		}
	}
	if got := digest.NewDigest(want.Algorithm(), h); got != want {
		u.e.discardObjects(ctx, last)
		return registry.Descriptor{}, errors.Join(mismatch(op, got, want), u.Abort(ctx))
	}
	return u.e.addBlob(ctx, op, u.repo, want, u.session.Segments, last, func(ctx context.Context, tx *meta.Tx) error {
		err := tx.RemoveUpload(ctx, u.session.ID, len(u.session.Segments))
		if errors.Is(err, meta.ErrNotFound) {
			err = raced(op)
		}
		return err
	})
}

// Abort implements registry.Upload.
func (u *upload) Abort(ctx context.Context) error {
	const op = "engine.Upload.Abort"
	err := u.e.meta.Update(ctx, meta.Options{Frees: true}, func(ctx context.Context, tx *meta.Tx) error {
		return tx.RemoveUpload(ctx, u.session.ID, len(u.session.Segments))
	})
	switch {
	case errors.Is(err, meta.ErrNotFound):
		return unknownUpload(op)
	case err != nil:
		return wrap(op, err)
	}
	u.e.discardObjects(ctx, u.session.Segments...)
	return nil
}

func (u *upload) expect(op string, at int64) error {
	if at >= 0 && at != u.Size() {
		return registry.E(op, registry.RangeInvalid, nil, "this upload continues at byte %d, not at %d", u.Size(), at)
	}
	return nil
}

func (u *upload) room() int64 { return u.e.cfg.Limits.Blob - u.Size() }

var errOtherAlgorithm = errors.New("session was begun with another digest algorithm")

// hash continues the session's hash, if it is by the algorithm wanted. A
// session without bytes can take any.
func (u *upload) hash(a digest.Algorithm) (hash.Hash, error) {
	h := a.Hash()
	if u.session.HashState == nil {
		return h, nil
	}
	if a != u.session.Algorithm {
		return nil, errOtherAlgorithm
	}
	if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(u.session.HashState); err != nil {
		return nil, fmt.Errorf("restore hash of upload %s: %w", u.session.ID, err)
	}
	return h, nil
}

const expireEvery = time.Minute

// expireUploads drops sessions that have been idle for UploadTTL.
func (e *Engine) expireUploads(ctx context.Context) {
	tick := time.NewTicker(expireEvery)
	defer tick.Stop()
	for {
		if _, _, err := e.expireIdle(ctx, e.meta.Now().Add(-e.cfg.UploadTTL)); err != nil && ctx.Err() == nil {
			e.cfg.Log.WarnContext(ctx, "idle upload sessions were not removed", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// expireIdle ends idle sessions, and returns how many and what they held. Two
// replicas may do it at once: whose transaction removes a session deletes its
// objects.
func (e *Engine) expireIdle(ctx context.Context, before time.Time) (n, bytes int64, err error) {
	for {
		idle, err := e.meta.IdleUploads(ctx, before, listPage)
		if err != nil || len(idle) == 0 {
			return n, bytes, err
		}
		for _, s := range idle {
			u := upload{e: e, session: s, repo: s.Repository}
			switch err := u.Abort(ctx); {
			case errors.Is(err, registry.BlobUploadUnknown): // it went on, or is gone
			case err != nil:
				return n, bytes, err
			default:
				n++
				bytes += s.Size()
			}
		}
	}
}
