package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
)

// memory measures what is resident while images are pulled and while a large blob is pushed.
func memory(ctx context.Context, b *bench) error {
	names := []string{packhouseName, distributionName}
	return b.serve(ctx, "memory", names, func(peers map[string]*peer) error {
		im, err := newImage(1, 8)
		if err != nil {
			return err
		}
		f, err := newFile(filepath.Join(b.dir, "memory"), 3, 100*mib)
		if err != nil {
			return err
		}
		size := int64(b.amount(2<<10, 256)) * mib
		hash := digest.Canonical.Digester()
		if _, err := io.CopyN(hash.Hash(), noise(4), size); err != nil {
			return err
		}
		for _, name := range b.among(names...) {
			p := peers[name]
			if err := provideImage(ctx, p, im); err != nil {
				return err
			}
			// Before any other large blob: buffers that a first one leaves behind are growth, too.
			if err := b.growth(ctx, p, size, hash.Digest().String()); err != nil {
				return err
			}
			if err := provideBlob(ctx, p, f); err != nil {
				return err
			}
			// The pull load is judged alone: a new process has not pushed anything.
			if err := p.stop(); err != nil {
				return err
			}
			delete(peers, name)
			if peers[name], err = startPeer(ctx, name, filepath.Dir(p.data)); err != nil {
				delete(peers, name)
				return err
			}
			if err := b.pullPeak(ctx, peers[name], f); err != nil {
				return err
			}
		}
		return nil
	})
}

// growth pushes a blob of that size from a generator, into an empty repository each time.
func (b *bench) growth(ctx context.Context, p *peer, size int64, want string) error {
	for _, v := range []struct {
		how  string
		push func(c *conn) error
	}{
		{"by one PUT", func(c *conn) error { return c.pushStream("bench/put", want, noise(4), size) }},
		{"by one PATCH", func(c *conn) error { return c.pushChunks("bench/patch", want, noise(4), size, size) }},
	} {
		err := b.grows(p, fmt.Sprintf("growth of RSS, push of a blob of %d MiB %s", size/mib, v.how), func() error {
			_, err := each(ctx, p.addr, 1, 1, func(c *conn, _ int) error { return v.push(c) })
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// grows runs load and reports how much more memory it took at its peak than before.
func (b *bench) grows(p *peer, name string, load func() error) error {
	before, err := memoryOf(p.pid, "VmRSS")
	if err != nil {
		return err
	}
	if err := forgetPeak(p.pid); err != nil {
		return err
	}
	if err := load(); err != nil {
		return fmt.Errorf("%s: %s: %w", p.name, name, err)
	}
	peak, err := memoryOf(p.pid, "VmHWM")
	if err != nil {
		return err
	}
	b.resident(p, name, peak-before, 32, fmt.Sprintf("(from %.3g MiB)", before))
	return nil
}

// pullPeak pulls manifests over 16 connections and blobs over 4, both at once.
func (b *bench) pullPeak(ctx context.Context, p *peer, f file) error {
	seconds := b.amount(10, 2)
	until := time.Now().Add(time.Duration(seconds) * time.Second)
	var group sync.WaitGroup
	var wrkErr error
	group.Go(func() {
		_, wrkErr = wrk(ctx, p, b.dir, manifestPath(imageRepo, imageTag), []string{acceptHeader}, seconds)
	})
	var blobErr error
	for time.Now().Before(until) && blobErr == nil {
		_, blobErr = pullBlob(ctx, p, f, 2*blobConnections)
	}
	group.Wait()
	if wrkErr != nil {
		return wrkErr
	}
	if blobErr != nil {
		return blobErr
	}
	peak, err := memoryOf(p.pid, "VmHWM")
	if err != nil {
		return err
	}
	b.resident(p, fmt.Sprintf("peak RSS, %d connections for manifests and %d for blobs of 100 MiB", wrkConnections, blobConnections), peak, 100, "")
	return nil
}

// resident reports packhouse's figure against its limit, and a peer's beside it.
func (b *bench) resident(p *peer, name string, got, limit float64, note string) {
	fmt.Fprintf(b.log, "   %s, %s: %.3g MiB\n", name, p.name, got)
	if p.name == packhouseName {
		b.report.atMost(name, got, limit, "MiB", note)
		return
	}
	b.report.setting("%s of %s: %.3g MiB %s", name, p.name, got, note)
}
