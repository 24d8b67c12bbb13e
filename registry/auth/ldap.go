package auth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/packhouse/packhouse/registry"
)

// LDAPConfig says where a directory is (RFC 4511) and how its users are named.
type LDAPConfig struct {
	URL      string // ldaps://HOST[:PORT] or ldap://HOST[:PORT]; "" for none
	StartTLS bool   // encrypts an ldap:// connection before anything is sent
	// BindDN is the distinguished name of a user, %s being the name that was
	// typed: "uid=%s,ou=people,dc=example,dc=com".
	BindDN string
	// BaseDN is where groups are searched, by GroupFilter, %s being the user's
	// distinguished name: "(member=%s)". "" for no groups.
	BaseDN         string
	GroupFilter    string
	GroupAttribute string // of a group: its name here
	CACert         string // PEM file of the certificates to trust; "" for the system's
	// Dial opens connections. Default a net.Dialer's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

const (
	ldapTimeout   = 10 * time.Second // each step
	maxLDAPGroups = 1000
)

// directory is a source of users whose passwords it checks by a bind.
type directory struct {
	cfg     LDAPConfig
	address string
	tls     *tls.Config // nil for a connection in the clear
	start   bool        // TLS by StartTLS
}

func newDirectory(cfg LDAPConfig) (*directory, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Hostname() == "" || u.Scheme != "ldap" && u.Scheme != "ldaps" {
		return nil, fmt.Errorf("LDAP: %q is not a URL like ldaps://ldap.example.com", cfg.URL)
	}
	if strings.Count(cfg.BindDN, "%s") != 1 {
		return nil, fmt.Errorf("LDAP: the bind DN %q must have one %%s, for the user's name", cfg.BindDN)
	}
	if cfg.BaseDN != "" {
		filter := strings.ReplaceAll(cfg.GroupFilter, "%s", "x")
		if _, err := ldap.CompileFilter(filter); err != nil || filter == cfg.GroupFilter || cfg.GroupAttribute == "" {
			return nil, fmt.Errorf("LDAP: groups are searched by a filter like (member=%%s) and have a name attribute like cn, not %q and %q", cfg.GroupFilter, cfg.GroupAttribute)
		}
	}
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{}).DialContext
	}
	port := map[string]string{"ldap": ldap.DefaultLdapPort, "ldaps": ldap.DefaultLdapsPort}[u.Scheme]
	if u.Port() != "" {
		port = u.Port()
	}
	d := &directory{cfg: cfg, address: net.JoinHostPort(u.Hostname(), port), start: u.Scheme == "ldap"}
	if u.Scheme == "ldap" && !cfg.StartTLS {
		return d, nil
	}
	d.tls = &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}
	if cfg.CACert != "" {
		pem, err := os.ReadFile(cfg.CACert)
		if err != nil {
			return nil, fmt.Errorf("LDAP: read certificates: %w", err)
		}
		d.tls.RootCAs = x509.NewCertPool()
		if !d.tls.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("LDAP: there is no certificate in %s", cfg.CACert)
		}
	}
	return d, nil
}

// bind checks a user's password and returns the groups that the directory
// says the user is in; nil if none are searched. It returns errRefused, or
// UNAVAILABLE if the directory does not say.
func (d *directory) bind(ctx context.Context, user, password string) ([]string, error) {
	if password == "" {
		return nil, errRefused // RFC 4513, section 5.1.2: it would bind as nobody, and succeed
	}
	ctx, cancel := context.WithTimeout(ctx, ldapTimeout)
	defer cancel()
	conn, err := d.connect(ctx)
	if err != nil {
		return nil, unasked(err)
	}
	defer conn.Close() //nolint:errcheck // nothing is left to lose
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	dn := strings.Replace(d.cfg.BindDN, "%s", ldap.EscapeDN(user), 1)
	err = conn.Bind(dn, password)
	switch {
	case ldap.IsErrorAnyOf(err, ldap.LDAPResultInvalidCredentials, ldap.LDAPResultNoSuchObject,
		ldap.LDAPResultInvalidDNSyntax, ldap.LDAPResultInappropriateAuthentication, ldap.LDAPResultUnwillingToPerform,
		ldap.LDAPResultConstraintViolation):
		return nil, errRefused
	case err != nil:
		return nil, unasked(fmt.Errorf("bind: %w", err))
	case d.cfg.BaseDN == "":
		return nil, nil
	}
	filter := strings.ReplaceAll(d.cfg.GroupFilter, "%s", ldap.EscapeFilter(dn))
	found, err := conn.Search(ldap.NewSearchRequest(d.cfg.BaseDN, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases,
		maxLDAPGroups, int(ldapTimeout/time.Second), false, filter, []string{d.cfg.GroupAttribute}, nil))
	if err != nil {
		return nil, unasked(fmt.Errorf("search groups: %w", err))
	}
	groups := []string{}
	for _, entry := range found.Entries {
		groups = append(groups, entry.GetAttributeValues(d.cfg.GroupAttribute)...)
	}
	return groups, nil
}

func (d *directory) connect(ctx context.Context) (*ldap.Conn, error) {
	raw, err := d.cfg.Dial(ctx, "tcp", d.address)
	if err != nil {
		return nil, err
	}
	if d.tls != nil && !d.start {
		secured := tls.Client(raw, d.tls)
		if err := secured.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, raw.Close())
		}
		raw = secured
	}
	conn := ldap.NewConn(raw, d.tls != nil && !d.start)
	conn.Start()
	conn.SetTimeout(ldapTimeout)
	if d.tls != nil && d.start {
		if err := conn.StartTLS(d.tls); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	return conn, nil
}

func unasked(err error) error {
	return registry.E(authenticateOp, registry.Unavailable, fmt.Errorf("ask the directory: %w", err), "the directory that keeps the users cannot be asked now: try again in a few seconds")
}
