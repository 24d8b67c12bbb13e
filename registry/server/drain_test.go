package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/config"
)

// After the signal: not ready, no new connections, and yet what was asked
// before is answered whole.
func TestDrain(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	s := start(t, func(o *Options) {
		o.Registry = failing{o.Registry, func(ctx context.Context) (registry.Manifest, error) {
			close(entered)
			select {
			case <-release:
			case <-ctx.Done():
				return registry.Manifest{}, ctx.Err()
			}
			return registry.Manifest{Raw: []byte("{}")}, nil
		}}
	})
	answer := make(chan string, 1)
	go func() {
		res, err := s.client.Get(s.URL() + "/v2/app/manifests/latest") //nolint:noctx // a test
		if err != nil {
			answer <- err.Error()
			return
		}
		defer func() { _ = res.Body.Close() }()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			answer <- err.Error()
			return
		}
		answer <- res.Status + " " + string(body)
	}()
	<-entered
	s.stop()
	second := "http://" + s.second.Addr().String() + "/-/ready"
	for ready := true; ready; { // the signal is handled concurrently
		res, _ := s.do(t, "GET", second, nil)
		ready = res.StatusCode == http.StatusOK
	}
	for refused := false; !refused; {
		c, err := net.Dial("tcp", s.clients.Addr().String()) //nolint:noctx // a test
		refused = err != nil
		if err == nil {
			_ = c.Close()
		}
	}
	close(release)
	if got := <-answer; got != "200 OK {}" {
		t.Errorf("the request under way got %q", got)
	}
	if err := s.ended(t); err != nil {
		t.Errorf("drain: %v", err)
	}
}

func TestDrainGivesUp(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	s := start(t, func(o *Options) {
		o.Config.Shutdown.Drain = config.Duration(time.Millisecond)
		o.Registry = failing{o.Registry, func(ctx context.Context) (registry.Manifest, error) {
			close(entered)
			<-ctx.Done() // the connection is cut
			return registry.Manifest{}, ctx.Err()
		}}
	})
	go func() {
		res, err := s.client.Get(s.URL() + "/v2/app/manifests/latest") //nolint:noctx // a test
		if err == nil {
			_ = res.Body.Close()
		}
	}()
	<-entered
	s.stop()
	if err := s.ended(t); err == nil || !strings.Contains(err.Error(), "requests to clients were still running after 1ms and were cut") {
		t.Errorf("err = %v", err)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	files := keyPair(t, t.TempDir(), 1)
	s := start(t, func(o *Options) { o.Config.TLS = files })
	res, body := s.do(t, "GET", "/v2/", nil)
	if res.Proto != "HTTP/2.0" || res.StatusCode != 200 || body != "{}" || !strings.HasPrefix(s.URL(), "https://127.0.0.1:") {
		t.Errorf("%s %s %q at %s", res.Proto, res.Status, body, s.URL())
	}
	_, err := tls.Dial("tcp", s.clients.Addr().String(), &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11, InsecureSkipVerify: true}) //nolint:noctx // to be refused
	if err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("TLS 1.1: %v", err)
	}
}

func TestCertificateFollowsItsFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := keyPair(t, dir, 1)
	c, err := loadCertificate(files, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	c.now = func() time.Time { return now }
	serial := func() int64 {
		now = now.Add(lookEvery)
		pair, err := c.get(&tls.ClientHelloInfo{})
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(pair.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return leaf.SerialNumber.Int64()
	}
	if got := serial(); got != 1 {
		t.Errorf("first: serial %d", got)
	}
	keyPair(t, dir, 1<<40) // of another size, should the file system's clock be coarse
	if got := serial(); got != 1<<40 {
		t.Errorf("renewed: serial %d", got)
	}
	if err := os.WriteFile(files.Key, []byte("half written"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := serial(); got != 1<<40 {
		t.Errorf("broken: serial %d", got)
	}
	keyPair(t, dir, 3)
	if got := serial(); got != 3 {
		t.Errorf("repaired: serial %d", got)
	}
}

func TestBadCertificateStopsTheStart(t *testing.T) {
	t.Parallel()
	if _, err := loadCertificate(config.TLS{Cert: "/nowhere/tls.crt", Key: "/nowhere/tls.key"}, nil); err == nil || !strings.Contains(err.Error(), "/nowhere/tls.crt") {
		t.Errorf("err = %v", err)
	}
}

// keyPair writes a certificate for this machine to dir.
func keyPair(t *testing.T, dir string, serial int64) config.TLS {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	files := config.TLS{Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key")}
	for name, block := range map[string]*pem.Block{
		files.Cert: {Type: "CERTIFICATE", Bytes: cert}, files.Key: {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files
}
