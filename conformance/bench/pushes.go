package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

const (
	pushConnections = 4
	pushSize        = 100 * mib
	chunkSize       = 16 * mib
)

// pushes measures the push of large blobs: how near a registry comes to dd, which neither hashes nor talks HTTP.
func pushes(ctx context.Context, b *bench) (err error) {
	dir := filepath.Join(b.dir, "push-source")
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var files []file
	for seed := range b.amount(8, 4) {
		f, err := newFile(dir, uint64(100+seed), pushSize)
		if err != nil {
			return err
		}
		files = append(files, f)
	}
	for _, v := range []struct {
		how   string
		chunk int64
	}{{"by one PUT", 0}, {fmt.Sprintf("in chunks of %d MiB", chunkSize/mib), chunkSize}} {
		w := row{
			name:    fmt.Sprintf("push of %d blobs of %d MiB %s, %d at a time", len(files), pushSize/mib, v.how, pushConnections),
			unit:    "MiB",
			peers:   []string{packhouseName, distributionName, ddName, ddSmallName},
			targets: []target{{distributionName, 1}, {ddName, 0.7}},
		}
		err := b.turns(ctx, w, func(ctx context.Context, peer string, _ int) (measurement, error) {
			switch peer {
			case ddName:
				return copyFiles(ctx, filepath.Join(b.dir, "dd"), "1M", files)
			case ddSmallName:
				return copyFiles(ctx, filepath.Join(b.dir, "dd"), "32k", files)
			}
			return b.pushFiles(ctx, peer, files, v.chunk)
		})
		if err != nil {
			return err
		}
	}
	b.report.setting("dd: `dd bs=1M conv=fsync` from the files that are pushed, in the page cache, %d at a time; dd-32k: the same with bs=32k, which writes as registries do and on some systems is the faster of the two; it has no target", pushConnections)
	return nil
}

// pushFiles pushes to a registry that is empty and removed after: the disk need not hold more than one turn.
func (b *bench) pushFiles(ctx context.Context, name string, files []file, chunk int64) (m measurement, err error) {
	err = b.serve(ctx, "pushes", []string{name}, func(peers map[string]*peer) error {
		p := peers[name]
		m, err = measured(p, float64(len(files))*pushSize/mib, func() ([]time.Duration, error) {
			return each(ctx, p.addr, pushConnections, len(files), func(c *conn, i int) error {
				return c.pushFile(blobRepo, files[i], chunk)
			})
		})
		return err
	})
	return m, err
}

// copyFiles copies the files by dd, as many at a time as pushFiles pushes.
func copyFiles(ctx context.Context, dir, block string, files []file) (measurement, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return measurement{}, err
	}
	var (
		group     sync.WaitGroup
		begin     = time.Now()
		latencies = make([]time.Duration, len(files))
		errs      = make([]error, len(files))
	)
	for slot := range pushConnections {
		group.Go(func() {
			for i := slot; i < len(files); i += pushConnections {
				started := time.Now()
				//nolint:gosec // both files were named above
				cmd := exec.CommandContext(ctx, "dd", "bs="+block, "conv=fsync", "status=none", "if="+files[i].path, "of="+filepath.Join(dir, fmt.Sprint(i)))
				errs[i] = cmd.Run()
				latencies[i] = time.Since(started)
			}
		})
	}
	group.Wait()
	m := measurement{work: float64(len(files)) * pushSize / mib, took: time.Since(begin)}
	if err := errors.Join(append(errs, os.RemoveAll(dir))...); err != nil {
		return m, fmt.Errorf("dd: %w", err)
	}
	m.p50, m.p99 = percentile(latencies, 50), percentile(latencies, 99)
	return m, nil
}
