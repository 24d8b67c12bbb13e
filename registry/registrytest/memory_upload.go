package registrytest

import (
	"context"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/packhouse/packhouse/registry"
)

type upload struct {
	m       *Memory
	repo    registry.Repo
	id      string
	content []byte // guarded by m.mu
}

// BeginUpload implements [registry.Writer].
func (m *Memory) BeginUpload(_ context.Context, r registry.Repo, _ digest.Algorithm) (registry.Upload, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.opened++
	u := &upload{m: m, repo: r, id: fmt.Sprintf("upload-%d", m.opened)}
	if m.uploads == nil {
		m.uploads = map[string]*upload{}
	}
	m.uploads[u.id] = u
	return u, nil
}

// ResumeUpload implements [registry.Writer].
func (m *Memory) ResumeUpload(_ context.Context, r registry.Repo, id string) (registry.Upload, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if u, ok := m.uploads[id]; ok && u.repo == r {
		return u, nil
	}
	return nil, unknownUpload(id)
}

func unknownUpload(id string) error {
	return registry.E("registrytest.Memory", registry.BlobUploadUnknown, nil, "upload session %s is not open: start again", id)
}

func (u *upload) ID() string { return u.id }

func (u *upload) Size() int64 {
	u.m.mu.Lock()
	defer u.m.mu.Unlock()
	return int64(len(u.content))
}

func (u *upload) Append(_ context.Context, body io.Reader, at int64) (int64, error) {
	if size := u.Size(); at >= 0 && at != size {
		return size, registry.E("registrytest.Memory.Append", registry.RangeInvalid, nil, "upload session %s is at byte %d", u.id, size)
	}
	var content []byte
	var err error
	if body != nil {
		content, err = io.ReadAll(body) // outside the lock: the body may take its time
	}
	u.m.mu.Lock()
	defer u.m.mu.Unlock()
	if u.m.uploads[u.id] != u {
		return 0, unknownUpload(u.id)
	}
	u.content = append(u.content, content...)
	return int64(len(u.content)), err
}

func (u *upload) Commit(ctx context.Context, body io.Reader, at int64, want registry.Digest) (registry.Descriptor, error) {
	if _, err := u.Append(ctx, body, at); err != nil {
		return registry.Descriptor{}, err
	}
	u.m.mu.Lock()
	defer u.m.mu.Unlock()
	delete(u.m.uploads, u.id)
	if want.Algorithm().FromBytes(u.content) != want {
		return registry.Descriptor{}, mismatch(want)
	}
	u.m.created(u.repo).blobs[want] = u.content
	return described(want, u.content), nil
}

func (u *upload) Abort(context.Context) error {
	u.m.mu.Lock()
	defer u.m.mu.Unlock()
	delete(u.m.uploads, u.id)
	return nil
}
