package server

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/packhouse/packhouse/registry/config"
)

// certificate is a key pair that follows its files: whoever renews it only has
// to replace them.
type certificate struct {
	files config.TLS
	log   *slog.Logger
	now   func() time.Time

	mu      sync.Mutex
	looked  time.Time // when the files were last looked at
	stamps  [2]stamp  // of what is loaded, or was refused
	current *tls.Certificate
}

// stamp tells one content of a file from the next.
type stamp struct {
	modified time.Time
	size     int64
}

// lookEvery bounds how often handshakes cost two stats, and so how long a new
// certificate waits.
const lookEvery = time.Second

func loadCertificate(files config.TLS, log *slog.Logger) (*certificate, error) {
	c := &certificate{files: files, log: log, now: time.Now}
	if err := c.reload(); err != nil {
		return nil, err
	}
	c.looked = c.now()
	return c, nil
}

func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: c.get,
	}
}

func (c *certificate) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.looked) >= lookEvery {
		c.looked = now
		// The old pair goes on: half of a pair may have been replaced just now.
		if err := c.reload(); err != nil {
			c.log.WarnContext(hello.Context(), "certificate not reloaded", "err", err)
		}
	}
	return c.current, nil
}

// reload loads the files unless they are the ones that were seen last.
func (c *certificate) reload() error {
	var seen [2]stamp
	for i, name := range []string{c.files.Cert, c.files.Key} {
		fi, err := os.Stat(name)
		if err != nil {
			return fmt.Errorf("tls: %w", err)
		}
		seen[i] = stamp{fi.ModTime(), fi.Size()}
	}
	if seen == c.stamps {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.files.Cert, c.files.Key)
	if err != nil {
		c.stamps = seen
		return fmt.Errorf("tls: load %s and %s: %w", c.files.Cert, c.files.Key, err)
	}
	c.stamps, c.current = seen, &pair
	return nil
}
