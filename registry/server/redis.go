package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"github.com/packhouse/packhouse/registry/config"
	"github.com/packhouse/packhouse/registry/seal"
	"github.com/packhouse/packhouse/storage/cache"
)

// openRedis opens the cache that replicas share; nil where there is none.
// Without a database that replicas share there is nothing to share either.
func (b *Backend) openRedis(ctx context.Context, c config.Redis, box *seal.Box, log *slog.Logger) (*cache.Store, error) {
	if !c.Enabled() {
		return nil, nil
	}
	if !b.meta.Shared() {
		log.WarnContext(ctx, "redis is not used: it is for replicas, and without database.url this server is the only one")
		return nil, nil
	}
	secret, err := box.Derive("redis")
	if err != nil {
		return nil, err
	}
	cfg := cache.Config{
		Addrs: c.Addrs, Master: c.Master, Cluster: c.Cluster, DB: c.DB,
		Username: c.Username, Password: string(c.Password), SentinelPassword: string(c.SentinelPassword),
		Secret: secret, Timeout: time.Duration(c.Timeout), TTL: time.Duration(c.TTL), Log: log,
	}
	if c.TLS {
		if cfg.TLS, err = redisTLS(c.CACert); err != nil {
			return nil, err
		}
	}
	store, err := cache.Open(b.watch.cache(cfg)) //nolint:contextcheck // it outlives the start
	if err != nil {
		return nil, fmt.Errorf("start redis: %w", err)
	}
	return store, nil
}

// redisTLS trusts the system's authorities and those of a PEM file.
func redisTLS(caCert string) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if caCert == "" {
		return cfg, nil
	}
	pem, err := os.ReadFile(caCert)
	if err != nil {
		return nil, fmt.Errorf("redis.ca_cert: %w", err)
	}
	if cfg.RootCAs, err = x509.SystemCertPool(); err != nil {
		cfg.RootCAs = x509.NewCertPool()
	}
	if !cfg.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("redis.ca_cert: %s has no certificate in PEM", caCert)
	}
	return cfg, nil
}

// build names the code of this binary: the commit it was built of or, where
// that is not all, the file itself.
func build() string {
	var revision string
	modified := true
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				revision = s.Value
			case "vcs.modified":
				modified = s.Value != "false"
			}
		}
	}
	if revision != "" && !modified {
		return revision
	}
	if path, err := os.Executable(); err == nil {
		if file, err := os.Stat(path); err == nil {
			return fmt.Sprintf("%s+%d-%d", revision, file.Size(), file.ModTime().UnixNano())
		}
	}
	return revision + fmt.Sprintf("+%d", time.Now().UnixNano())
}
