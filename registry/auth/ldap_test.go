package auth

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// ber writes one element of BER: tag, length, content.
func ber(tag byte, content ...[]byte) []byte {
	var all []byte
	for _, c := range content {
		all = append(all, c...)
	}
	b := []byte{tag}
	if n := len(all); n < 0x80 {
		b = append(b, byte(n))
	} else {
		b = append(b, 0x82, byte(n>>8), byte(n))
	}
	return append(b, all...)
}

// element reads one element from the front; nothing of what is none.
func element(b []byte) (tag byte, content, rest []byte) {
	if len(b) < 2 {
		return 0, nil, nil
	}
	n, at := int(b[1]), 2
	if n >= 0x80 {
		size := n & 0x7f
		if len(b) < at+size {
			return 0, nil, nil
		}
		n = 0
		for _, digit := range b[at : at+size] {
			n = n<<8 | int(digit)
		}
		at += size
	}
	if n < 0 || len(b)-at < n {
		return 0, nil, nil
	}
	return b[0], b[at : at+n], b[at+n:]
}

// ldapServer is a directory in memory: what a bind and a search for groups
// need of RFC 4511.
type ldapServer struct {
	t    *testing.T
	cert tls.Certificate
	ca   string // PEM file
	addr string
	tls  bool // from the first byte

	mu        sync.Mutex
	passwords map[string]string   // by distinguished name
	groups    map[string][]string // names, by the member's distinguished name
	binds     []string            // distinguished names, in order
	silent    bool
}

func newLDAPServer(t *testing.T, secured bool) *ldapServer {
	t.Helper()
	s := &ldapServer{t: t, tls: secured, passwords: map[string]string{}, groups: map[string][]string{}}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	s.cert = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	s.ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(s.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		serving.Wait()
	})
	return s
}

func (s *ldapServer) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	config := &tls.Config{Certificates: []tls.Certificate{s.cert}, MinVersion: tls.VersionTLS12}
	if s.tls {
		c = tls.Server(c, config)
	}
	r := bufio.NewReader(c)
	for {
		head, err := r.Peek(2)
		if err != nil {
			return
		}
		size := 2 + int(head[1])
		if head[1] >= 0x80 {
			long, err := r.Peek(2 + int(head[1]&0x7f))
			if err != nil {
				return
			}
			size = len(long)
			n := 0
			for _, b := range long[2:] {
				n = n<<8 | int(b)
			}
			size += n
		}
		if size > 1<<16 {
			return
		}
		message := make([]byte, size)
		if _, err := io.ReadFull(r, message); err != nil {
			return
		}
		_, message, _ = element(message)
		_, id, rest := element(message)
		op, body, _ := element(rest)
		s.mu.Lock()
		silent := s.silent
		s.mu.Unlock()
		if silent {
			continue
		}
		result := func(op byte, code byte) []byte {
			return ber(0x30, ber(0x02, id), ber(op, ber(0x0a, []byte{code}), ber(0x04), ber(0x04)))
		}
		switch op {
		case 0x60:
			_, _, body = element(body)
			_, dn, body := element(body)
			_, password, _ := element(body)
			_, err = c.Write(result(0x61, s.bind(string(dn), string(password))))
		case 0x63:
			_, err = c.Write(append(s.search(id, body), result(0x65, 0)...))
		case 0x77:
			if _, err = c.Write(result(0x78, 0)); err == nil {
				c = tls.Server(c, config)
				r = bufio.NewReader(c)
			}
		default:
			return
		}
		if err != nil {
			return
		}
	}
}

func (s *ldapServer) bind(dn, password string) byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.binds = append(s.binds, dn)
	switch want, ok := s.passwords[dn]; {
	case password == "":
		return 0 // RFC 4513, section 5.1.2: nobody, and success
	case !ok, want != password:
		return 49
	}
	return 0
}

func (s *ldapServer) search(id, body []byte) (answer []byte) {
	for range 6 {
		_, _, body = element(body)
	}
	_, filter, _ := element(body)
	_, attribute, rest := element(filter)
	_, value, _ := element(rest)
	if string(attribute) != "member" {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range s.groups[string(value)] {
		cn := ber(0x30, ber(0x04, []byte("cn")), ber(0x31, ber(0x04, []byte(name))))
		answer = append(answer, ber(0x30, ber(0x02, id), ber(0x64, ber(0x04, []byte("cn="+name)), ber(0x30, cn)))...)
	}
	return answer
}

func (s *ldapServer) set(user, password string, groups ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	dn := "uid=" + user + ",ou=people,dc=example"
	s.passwords[dn], s.groups[dn] = password, groups
}

func (s *ldapServer) config(scheme string) LDAPConfig {
	return LDAPConfig{
		URL: scheme + "://" + s.addr, BindDN: "uid=%s,ou=people,dc=example", CACert: s.ca,
		BaseDN: "ou=groups,dc=example", GroupFilter: "(member=%s)", GroupAttribute: "cn",
	}
}

func TestLDAP(t *testing.T) {
	t.Parallel()
	s := newLDAPServer(t, true)
	s.set("carol", "secret", "dev", "unknown-here")
	s.set("alice", "other")
	e := newEntrance(t, func(c *Config) { c.LDAP = s.config("ldaps") })
	e.user("alice", "secret")
	e.change(func(ctx context.Context, tx *meta.Tx) error {
		for _, name := range []string{"dev", "ops"} {
			if _, err := tx.AddGroup(ctx, name, ""); err != nil {
				return err
			}
		}
		return nil
	})
	groups := func(id *Identity) (names []string) {
		for _, g := range e.Policy().GroupsOf(id.ID) {
			names = append(names, g.Name)
		}
		return names
	}
	bad := func(user, password string, want registry.Code) {
		t.Helper()
		if _, err := e.password(user, password); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %s", user, err, want)
		}
	}
	bad("carol", "wrong", registry.Unauthorized)
	bad("nobody", "secret", registry.Unauthorized)
	s.mu.Lock()
	s.binds = nil
	s.mu.Unlock()
	bad("carol", "", registry.Unauthorized)
	bad("alice", "other", registry.Unauthorized)
	bad("CAROL", "secret", registry.Unauthorized)
	bad("carol,ou=people", "secret", registry.Unauthorized)
	if s.binds != nil {
		t.Errorf("the directory was asked about %q", s.binds)
	}
	id, err := e.password("carol", "secret")
	if err != nil {
		t.Fatal(err)
	}
	row, err := e.store.Principal(t.Context(), meta.KindUser, "carol")
	if err != nil || row.Source != sourceLDAP || row.ID != id.ID {
		t.Errorf("row %+v, %v", row, err)
	}
	if diff := cmp.Diff([]string{"dev"}, groups(id)); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
	// The next log-in brings the groups of then.
	s.set("carol", "secret", "ops")
	e.pass(verifiedFor)
	if _, err := e.password("carol", "secret"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"ops"}, groups(id)); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
	e.change(func(ctx context.Context, tx *meta.Tx) error { return tx.SetDisabled(ctx, row.ID, true) })
	bad("carol", "secret", registry.Unauthorized)
}

func TestLDAPConnections(t *testing.T) {
	t.Parallel()
	secured, clear, other := newLDAPServer(t, true), newLDAPServer(t, false), newLDAPServer(t, true)
	gone := newLDAPServer(t, false)
	mute := newLDAPServer(t, false)
	mute.silent = true
	for _, s := range []*ldapServer{secured, clear} {
		s.set("carol", "secret")
	}
	with := func(c LDAPConfig, change func(*LDAPConfig)) LDAPConfig { change(&c); return c }
	tests := []struct {
		name, user string
		cfg        LDAPConfig
		want       error
	}{
		{"TLS", "carol", secured.config("ldaps"), nil},
		{"StartTLS", "carol", with(clear.config("ldap"), func(c *LDAPConfig) { c.StartTLS = true }), nil},
		{"in the clear", "carol", clear.config("ldap"), nil},
		{"certificate of somebody else", "carol", with(secured.config("ldaps"), func(c *LDAPConfig) { c.CACert = other.ca }), registry.Unavailable},
		{"StartTLS with somebody else", "carol", with(clear.config("ldap"), func(c *LDAPConfig) { c.StartTLS, c.CACert = true, other.ca }), registry.Unavailable},
		{"no TLS there", "carol", clear.config("ldaps"), registry.Unavailable},
		{"nobody there", "carol", with(gone.config("ldap"), func(c *LDAPConfig) {
			c.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("connection refused") }
		}), registry.Unavailable},
		{"no answer", "carol", mute.config("ldap"), registry.Unavailable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, err := newDirectory(tt.cfg)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			if tt.name == "no answer" {
				cancel()
				ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
			}
			defer cancel()
			if _, err = d.bind(ctx, tt.user, "secret"); !errors.Is(err, tt.want) {
				t.Errorf("error is %v, want %v", err, tt.want)
			}
			if tt.want == nil {
				if _, err := d.bind(ctx, tt.user, "wrong"); !errors.Is(err, registry.Unauthorized) {
					t.Errorf("wrong password: %v", err)
				}
				if _, err := d.bind(ctx, tt.user, ""); !errors.Is(err, registry.Unauthorized) {
					t.Errorf("no password: %v", err)
				}
				if _, err := d.bind(ctx, "x,ou=people,dc=example", "secret"); !errors.Is(err, registry.Unauthorized) {
					t.Errorf("name with a comma: %v", err)
				}
			}
		})
	}
	t.Run("names are escaped", func(t *testing.T) {
		t.Parallel()
		s := newLDAPServer(t, false)
		d, err := newDirectory(s.config("ldap"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = d.bind(t.Context(), "a,b+c=d)(x=*", "secret")
		s.mu.Lock()
		defer s.mu.Unlock()
		if diff := cmp.Diff([]string{`uid=a\,b\+c=d)(x=*,ou=people,dc=example`}, s.binds); diff != "" {
			t.Errorf("binds (-want +got):\n%s", diff)
		}
	})
}

func TestLDAPConfig(t *testing.T) {
	t.Parallel()
	good := LDAPConfig{URL: "ldaps://h", BindDN: "uid=%s,dc=x", BaseDN: "dc=x", GroupFilter: "(member=%s)", GroupAttribute: "cn"}
	tests := []struct {
		name   string
		change func(*LDAPConfig)
		want   string // part of the sentence
	}{
		{"good", func(*LDAPConfig) {}, ""},
		{"no groups", func(c *LDAPConfig) { c.BaseDN, c.GroupFilter, c.GroupAttribute = "", "", "" }, ""},
		{"https", func(c *LDAPConfig) { c.URL = "https://h" }, "is not a URL like ldaps://"},
		{"no host", func(c *LDAPConfig) { c.URL = "ldaps://" }, "is not a URL like ldaps://"},
		{"no place for the name", func(c *LDAPConfig) { c.BindDN = "uid=alice" }, "must have one %s"},
		{"two places", func(c *LDAPConfig) { c.BindDN = "uid=%s,cn=%s" }, "must have one %s"},
		{"filter", func(c *LDAPConfig) { c.GroupFilter = "(member=%s" }, "groups are searched by a filter"},
		{"filter of everybody", func(c *LDAPConfig) { c.GroupFilter = "(cn=*)" }, "groups are searched by a filter"},
		{"no attribute", func(c *LDAPConfig) { c.GroupAttribute = "" }, "groups are searched by a filter"},
		{"no file", func(c *LDAPConfig) { c.CACert = "testdata/none.pem" }, "read certificates"},
		{"no certificate", func(c *LDAPConfig) { c.CACert = "ldap_test.go" }, "there is no certificate in"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := good
			tt.change(&c)
			_, err := newDirectory(c)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}
