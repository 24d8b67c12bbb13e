package engine

import (
	"context"
	"errors"
	"io"
	"syscall"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/blob"
)

func (a *adoption) readManifest(ctx context.Context, d registry.Digest) (taking, error) {
	size, key, err := a.find(ctx, oldManifest, d)
	switch {
	case err != nil:
		return taking{}, err
	case key == "":
		return taking{}, refuse("its content is not in the old registry's store")
	case size > a.cfg.Limits.Manifest:
		return taking{}, refuse("it has %d bytes, a manifest may have at most %d here", size, a.cfg.Limits.Manifest)
	}
	raw, err := a.content(ctx, key, size)
	if err != nil {
		return taking{}, err
	}
	if got := d.Algorithm().FromBytes(raw); got != d {
		return taking{}, refuse("its content is damaged: %d bytes with digest %s", size, got)
	}
	p, err := registry.ParseManifest("", raw)
	if err != nil {
		return taking{}, refusal(registry.Public(err).Message)
	}
	return taking{repository: a.source.name, digest: d, raw: raw, parsed: p}, nil
}

// find looks for what a link of the source stands for: the content under its
// own digest or, for content pushed by another digest than sha256, under the
// one written in the link. key is "" when it is not there.
func (a *adoption) find(ctx context.Context, kind oldKind, d registry.Digest) (size int64, key string, err error) {
	key = oldBlobKey(d)
	size, err = a.blobs.Stat(ctx, key)
	if errors.Is(err, blob.ErrNotFound) {
		var target registry.Digest
		target, err = a.target(ctx, oldLinkKey(kind, a.source.name, d))
		if err != nil || target == "" {
			return 0, "", err
		}
		key = oldBlobKey(target)
		size, err = a.blobs.Stat(ctx, key)
	}
	if errors.Is(err, blob.ErrNotFound) {
		return 0, "", nil
	}
	return size, key, err
}

// target reads a link. It returns "" for one that is absent or broken.
func (a *adoption) target(ctx context.Context, key string) (registry.Digest, error) {
	const longest = 256
	size, err := a.blobs.Stat(ctx, key)
	switch {
	case errors.Is(err, blob.ErrNotFound):
		return "", nil
	case err != nil:
		return "", err
	case size > longest:
		return "", nil
	}
	content, err := a.content(ctx, key, size)
	if err != nil {
		return "", err
	}
	d, err := registry.ParseDigest(string(content))
	if err != nil {
		return "", nil //nolint:nilerr // a broken link
	}
	return d, nil
}

func (a *adoption) content(ctx context.Context, key string, size int64) (content []byte, err error) {
	body, err := a.blobs.Read(ctx, []blob.Segment{{Key: key, Size: size}}, 0, size)
	if err != nil {
		return nil, unreadable(err)
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	content = make([]byte, size)
	if _, err = io.ReadFull(body, content); err != nil {
		return nil, unreadable(err)
	}
	return content, nil
}

// unreadable makes a refusal of an error that is one file's own.
func unreadable(err error) error {
	if errors.Is(err, blob.ErrNotFound) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.EIO) {
		return refuse("it cannot be read: %v", err)
	}
	return err
}
