package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Check reports every problem of the values, one per line, or nil.
func (c Config) Check() error {
	var p problems
	p.address("addr", c.Addr)
	if c.MetricsAddr != "" {
		p.address("metrics_addr", c.MetricsAddr)
	}
	if c.Addr == c.MetricsAddr && !strings.HasSuffix(c.Addr, ":0") {
		p.addf("metrics_addr: %s is the address for clients too: give it another port", c.MetricsAddr)
	}
	p.require("data", c.Data)
	p.access(c)
	p.externalURL(c.ExternalURL)
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		p.addf("tls: cert and key go together: set both or neither")
	}
	p.storage(c.Storage, c.Limits.Blob)
	p.limits(c.Limits)
	p.positive("uploads.ttl", c.Uploads.TTL)
	p.positive("trash.window", c.Trash.Window)
	p.positive("gc.lease", c.GC.Lease)
	p.gc(c.GC)
	p.positive("shutdown.drain", c.Shutdown.Drain)
	p.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	p.oneOf("log.format", c.Log.Format, "text", "json")
	return errors.Join(p...)
}

// IsLoopback tells whether a listener on addr (HOST:PORT) is reached from this
// machine alone.
func IsLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err == nil && IsLoopbackName(host)
}

// IsLoopbackName tells whether host (no port) names this machine and nothing
// else: 127.0.0.0/8, ::1, localhost and the names below it (RFC 6761).
func IsLoopbackName(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().IsLoopback()
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

type problems []error

func (p *problems) addf(format string, args ...any) { *p = append(*p, fmt.Errorf(format, args...)) }

func (p *problems) address(key, addr string) {
	if _, port, err := net.SplitHostPort(addr); err != nil || port == "" {
		p.addf("%s: %q is not HOST:PORT, such as 127.0.0.1:5000", key, addr)
	}
}

func (p *problems) require(key, value string) {
	if value == "" {
		p.addf("%s: must not be empty", key)
	}
}

func (p *problems) externalURL(s string) {
	if s == "" {
		return
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		p.addf("external_url: %q is not a base URL: write scheme and host alone, such as https://packages.example.com", s)
	}
}

func (p *problems) oneOf(key, value string, legal ...string) {
	if !slices.Contains(legal, value) {
		p.addf("%s: %q is none of %s", key, value, strings.Join(legal, ", "))
	}
}

func (p *problems) positive(key string, d Duration) {
	if d <= 0 {
		p.addf("%s: must be more than 0", key)
	}
}

// S3 takes objects in this many parts, each of which is of chunksize bytes, or
// of the least that S3 takes.
const (
	s3Parts    = 10_000
	s3PartSize = 5 * MiB
)

func (p *problems) storage(s Storage, blob Bytes) {
	p.oneOf("storage.driver", s.Driver, "filesystem", "s3aws", "gcs", "azure", "inmemory")
	if s.Middleware.Name != "" {
		p.oneOf("storage.middleware.name", s.Middleware.Name, "cloudfront", "redirect", "rewrite")
	}
	signs := s.Driver == "s3aws" || s.Driver == "gcs" || s.Driver == "azure" || s.Middleware.Name == "cloudfront" || s.Middleware.Name == "redirect"
	switch {
	case s.Redirect.Enabled && !signs:
		p.addf("storage.redirect.enabled: the %s driver has no URLs to send clients to: leave it off, or set storage.middleware", s.Driver)
	case s.Middleware.Name != "" && !s.Redirect.Enabled:
		p.addf("storage.middleware.name: %s makes the URLs of redirects: set storage.redirect.enabled, too", s.Middleware.Name)
	}
	part := s3PartSize
	if n, err := strconv.ParseInt(fmt.Sprint(s.Params["chunksize"]), 10, 64); err == nil {
		part = Bytes(n) // what is no number the driver refuses
	}
	if s.Driver == "s3aws" && blob/s3Parts > part {
		p.addf("limits.blob: %s does not fit into the %d parts that S3 takes: set storage.params.chunksize to at least %d bytes", blob, s3Parts, blob/s3Parts+1)
	}
}

func (p *problems) gc(gc GC) {
	for _, s := range []struct {
		key string
		got Duration
	}{{"gc.every", gc.Every}, {"gc.untagged", gc.Untagged}, {"gc.referrers", gc.Referrers}} {
		if s.got < 0 {
			p.addf("%s: must not be less than 0", s.key)
		}
	}
	if gc.Rate < 0 {
		p.addf("gc.rate: must not be less than 0")
	}
}

func (p *problems) limits(l Limits) {
	for _, s := range []struct {
		key        string
		got, least Bytes
	}{
		{"limits.manifest", l.Manifest, 4 * KiB},
		{"limits.blob", l.Blob, 4 * KiB},
		{"limits.package", l.Package, 4 * KiB},
		{"limits.json", l.JSON, 4 * KiB},
		{"limits.header", l.Header, 4 * KiB},
		{"limits.url", l.URL, 1 * KiB},
	} {
		if s.got < s.least {
			p.addf("%s: %s is less than the least useful value, %s", s.key, s.got, s.least)
		}
	}
	if l.Page < 1 {
		p.addf("limits.page: must be at least 1")
	}
	for _, s := range []struct {
		key string
		got Duration
	}{{"limits.header_read", l.HeaderRead}, {"limits.idle_body", l.IdleBody}, {"limits.keep_alive", l.KeepAlive}} {
		if s.got < Duration(time.Second) {
			p.addf("%s: must be at least 1s", s.key)
		}
	}
}
