package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

const (
	mib             = 1 << 20
	blobRepo        = "bench/blobs"
	blobConnections = 4
)

// file is a blob on disk.
type file struct {
	path, digest string
	size         int64
}

// newFile makes a blob of noise below dir.
func newFile(dir string, seed uint64, size int64) (file, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // nginx's workers read it
		return file{}, err
	}
	f := file{path: filepath.Join(dir, fmt.Sprintf("%d-%d", seed, size)), size: size}
	var err error
	f.digest, err = noiseFile(f.path, seed, size)
	return f, err
}

// blobs measures GET of large blobs: how near a registry comes to a server of files.
func blobs(ctx context.Context, b *bench) error {
	names := []string{packhouseName, distributionName, nginxName}
	return b.serve(ctx, "blobs", names, func(peers map[string]*peer) error {
		for seed, size := range []int64{10 * mib, 100 * mib} {
			f, err := newFile(filepath.Join(b.dir, "blobs"), uint64(seed), size)
			if err != nil {
				return err
			}
			for _, p := range peers {
				if err := provideBlob(ctx, p, f); err != nil {
					return fmt.Errorf("%s: %w", p.name, err)
				}
			}
			total := int64(b.amount(8<<10, 1<<10)) * mib
			w := row{
				name:    fmt.Sprintf("blob GET of %d MiB, %d connections", size/mib, blobConnections),
				unit:    "MiB",
				peers:   names,
				targets: []target{{nginxName, 0.95}},
			}
			err = b.turns(ctx, w, func(ctx context.Context, peer string, _ int) (measurement, error) {
				return pullBlob(ctx, peers[peer], f, int(total/size))
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func pullBlob(ctx context.Context, p *peer, f file, times int) (measurement, error) {
	r := request{method: http.MethodGet, target: blobPath(blobRepo, f.digest), want: http.StatusOK}
	return measured(p, float64(times)*float64(f.size)/mib, func() ([]time.Duration, error) {
		return each(ctx, p.addr, blobConnections, times, func(c *conn, _ int) error {
			n, err := c.drop(r)
			if err == nil && n != f.size {
				err = fmt.Errorf("a body of %d bytes, not %d", n, f.size)
			}
			return err
		})
	})
}

// provideBlob pushes f, or makes it a file of nginx, and reads it back.
func provideBlob(ctx context.Context, p *peer, f file) error {
	c, err := dial(ctx, p.addr)
	if err != nil {
		return err
	}
	defer c.close()
	target := blobPath(blobRepo, f.digest)
	if p.name == nginxName {
		// The same bytes in the same file: nothing is colder for one than for the other.
		path := filepath.Join(p.data, target)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // nginx's workers read it
			return err
		}
		if err := os.Link(f.path, path); err != nil {
			return err
		}
	} else if err := c.pushFile(blobRepo, f, 0); err != nil {
		return err
	}
	res, err := c.send(request{method: http.MethodGet, target: target, want: http.StatusOK})
	if err != nil {
		return err
	}
	hash := sha256.New()
	_, err = io.Copy(hash, res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		return err
	}
	if got := "sha256:" + hex.EncodeToString(hash.Sum(nil)); got != f.digest {
		return fmt.Errorf("GET %s: %s with %s", target, res.Status, got)
	}
	return nil
}

// pushFile pushes f, in chunks unless chunk is 0.
func (c *conn) pushFile(repo string, f file, chunk int64) (err error) {
	content, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, content.Close()) }()
	if chunk > 0 {
		return c.pushChunks(repo, f.digest, content, f.size, chunk)
	}
	return c.pushStream(repo, f.digest, content, f.size)
}
