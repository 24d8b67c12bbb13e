package audit

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/packhouse/packhouse/storage/meta"
)

// checkpoints writes the files. Only one goroutine uses it. What the last file
// was is read once, at the first write, and then remembered: who takes it away
// meanwhile leaves a hole that shows.
type checkpoints struct {
	dir  string
	key  func(context.Context) (string, ed25519.PrivateKey, error)
	meta *meta.Store
	log  *slog.Logger

	loaded  bool
	last    time.Time // that names the last file
	hash    string    // of the last file
	number  int64
	through int64
}

const tempPrefix = ".writing-"

// write writes what moved since the last file; nothing if nothing did.
func (c *checkpoints) write(ctx context.Context) error {
	if err := c.load(ctx); err != nil {
		return err
	}
	latest, err := c.meta.LastAudit(ctx)
	if err != nil {
		return err
	}
	if latest < c.through {
		c.log.ErrorContext(ctx, "audit is older than its checkpoints: records were removed, or the database was restored from a backup", "record", latest, "checkpoint", c.through, "dir", c.dir)
		c.through = 0
	}
	for {
		heads, err := c.meta.AuditHeadsSince(ctx, c.through, maxHeads)
		if err != nil || len(heads) == 0 {
			return err
		}
		if err := c.put(ctx, heads); err != nil {
			return err
		}
		if len(heads) < maxHeads {
			return nil
		}
	}
}

// load finds out where the last run ended. What it cannot read it leaves to
// Verify, and begins with all heads again.
func (c *checkpoints) load(ctx context.Context) error {
	if c.loaded {
		return nil
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(c.dir)); err != nil {
		return err
	}
	leftovers, err := filepath.Glob(filepath.Join(c.dir, tempPrefix+"*"))
	if err != nil {
		return err
	}
	for _, name := range leftovers { // of a crash
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	names, err := checkpointNames(c.dir)
	if err != nil {
		return err
	}
	if len(names) > 0 {
		name := names[len(names)-1]
		b, err := readBounded(c.dir, name)
		if err != nil {
			return err
		}
		if c.last, err = time.Parse(nameLayout, strings.TrimSuffix(name, ".json")); err != nil {
			return err
		}
		c.hash = hashHex(b)
		last, _, err := open(b, nil)
		if err != nil {
			c.log.ErrorContext(ctx, "last audit checkpoint is damaged", "dir", c.dir, "name", name, "error", err)
		}
		c.number, c.through = last.Number, last.Through
	}
	c.loaded = true
	return nil
}

// put writes one file.
func (c *checkpoints) put(ctx context.Context, heads []meta.AuditHead) error {
	now := c.meta.Now().UTC()
	next := Checkpoint{Version: 1, Number: c.number + 1, Time: now, Through: heads[len(heads)-1].ID, Previous: c.hash}
	for _, h := range heads {
		next.Heads = append(next.Heads, Head{Chain: h.Chain, Seq: h.Seq, Hash: hex.EncodeToString(h.Hash)})
	}
	id, key, err := c.key(ctx)
	if err != nil {
		return fmt.Errorf("key: %w", err)
	}
	b, err := sign(next, id, key)
	if err != nil {
		return err
	}
	named := now.Truncate(time.Millisecond)
	if !named.After(c.last) { // within one millisecond, or the clock was set back
		named = c.last.Add(time.Millisecond)
	}
	if err := writeFile(c.dir, named.Format(nameLayout)+".json", b); err != nil {
		c.loaded = false // the file may be there, or not
		return err
	}
	c.last, c.hash, c.number, c.through = named, hashHex(b), next.Number, next.Through
	return nil
}

// writeFile makes a file that is there as a whole, or not at all, whenever the
// power fails.
func writeFile(dir, name string, b []byte) error {
	f, err := os.CreateTemp(dir, tempPrefix)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
