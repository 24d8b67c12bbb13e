package config

import (
	"encoding/base64"
	"log/slog"
	"time"
)

// When credentials are asked for.
const (
	AuthAuto = "auto"
	AuthOn   = "on"
)

// Secret is a value that is never shown: every encoder writes REDACTED.
type Secret string

// UnmarshalText reads a secret.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = Secret(text)
	return nil
}

// MarshalText hides the secret; "" stays.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue hides the secret in logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return s.String() }

// Secrets are what the server's own secrets in the database are sealed with.
type Secrets struct {
	Key      Secret `yaml:"key" doc:"base64 of 32 random bytes that seal the signing keys in the database, the same on all replicas; empty for a key of its own in DATA/secret.key"`
	Previous Secret `yaml:"previous" doc:"the key before, while what it sealed is sealed again"`
}

// Tokens are what clients log in with.
type Tokens struct {
	TTL    Duration `yaml:"ttl" doc:"how long a token lasts when nothing else was asked for"`
	MaxTTL Duration `yaml:"max_ttl" doc:"the longest a token may last"`
	Grace  Duration `yaml:"grace" doc:"how long a token still works after it was rotated"`
}

// LDAP is a directory whose users may log in.
type LDAP struct {
	URL       string `yaml:"url" doc:"ldaps://HOST or ldap://HOST; empty for none"`
	StartTLS  bool   `yaml:"start_tls" doc:"turn an ldap:// connection into an encrypted one before anything is sent"`
	BindDN    string `yaml:"bind_dn" doc:"distinguished name of a user, %s being the name that was typed: uid=%s,ou=people,dc=example,dc=com"`
	BaseDN    string `yaml:"base_dn" doc:"where groups are searched; empty for no groups"`
	GroupBy   string `yaml:"group_filter" doc:"filter that finds a user's groups, %s being the user's distinguished name: (member=%s)"`
	GroupName string `yaml:"group_name" doc:"attribute of a group that is its name"`
	CACert    string `yaml:"ca_cert" doc:"PEM file with the certificates to trust; empty for the system's"`
}

// OIDC is the provider by which people log in.
type OIDC struct {
	Issuer       string   `yaml:"issuer" doc:"URL of the OpenID Connect provider by which people log in; empty for none"`
	ClientID     string   `yaml:"client_id" doc:"what the provider knows this registry by"`
	ClientSecret Secret   `yaml:"client_secret" doc:"secret of that client; empty for a public one"`
	Scopes       []string `yaml:"scopes" doc:"what is asked for beside openid"`
	NameClaim    string   `yaml:"name_claim" doc:"claim that becomes the user's name here"`
	GroupsClaim  string   `yaml:"groups_claim" doc:"claim that lists the user's groups; empty for none"`
	Audience     string   `yaml:"audience" doc:"audience that tokens of CI jobs must have; empty for the host of external_url"`
}

// Egress is about connections that the server opens.
type Egress struct {
	Allow []Network `yaml:"allow" doc:"addresses and networks (CIDR) that may be connected to although they are not public"`
}

// Audit is the record of all changes.
type Audit struct {
	Retention   Duration `yaml:"retention" doc:"how long records are kept; 0 for ever"`
	Checkpoints string   `yaml:"checkpoints" doc:"directory of the signed checkpoints; empty for DATA/audit"`
	Every       Duration `yaml:"every" doc:"how often a checkpoint is written when something changed"`
}

// Rates bound how often and how much; 0 is no bound.
type Rates struct {
	AddressRequests   int   `yaml:"address_requests" doc:"requests a second from one address; 0 for no bound, as in all of this section"`
	AddressBurst      int   `yaml:"address_burst" doc:"requests from one address that may come at once"`
	PrincipalRequests int   `yaml:"principal_requests" doc:"requests a second of one user, service account or CI job"`
	PrincipalBurst    int   `yaml:"principal_burst" doc:"requests of one of them that may come at once"`
	FailedLogins      int   `yaml:"failed_logins" doc:"failed log-ins a minute from one address, and for one account"`
	FailedBurst       int   `yaml:"failed_burst" doc:"failed log-ins that may come at once"`
	PrincipalUploads  int   `yaml:"principal_uploads" doc:"upload sessions that one user, service account or CI job may have open"`
	RepositoryUploads int   `yaml:"repository_uploads" doc:"upload sessions that may be open in one repository"`
	InFlight          Bytes `yaml:"in_flight" doc:"bytes of request bodies that one user, service account or CI job may be sending"`
}

// sealingKey does not quote what is no key: it may be somebody's.
func (p *problems) sealingKey(key string, secret Secret) {
	const size = 32
	if raw, err := base64.StdEncoding.DecodeString(string(secret)); secret != "" && (err != nil || len(raw) != size) {
		p.addf("%s: it is not %d bytes in base64: make one with `openssl rand -base64 %d`", key, size, size)
	}
}

func (p *problems) access(c Config) {
	p.oneOf("auth", c.Auth, AuthAuto, AuthOn)
	if c.Auth == AuthOn && c.InsecureOpen {
		p.addf("insecure_open: it contradicts auth: on: choose one")
	}
	p.sealingKey("secrets.key", c.Secrets.Key)
	p.sealingKey("secrets.previous", c.Secrets.Previous)
	p.positive("tokens.ttl", c.Tokens.TTL)
	if c.Tokens.MaxTTL < c.Tokens.TTL {
		p.addf("tokens.max_ttl: %s is less than tokens.ttl, %s", c.Tokens.MaxTTL, c.Tokens.TTL)
	}
	if c.OIDC.Issuer != "" && (c.OIDC.ClientID == "" || c.ExternalURL == "") {
		p.addf("oidc: logging in needs client_id, and external_url as the address to come back to")
	}
	if c.LDAP.URL != "" && c.LDAP.BindDN == "" {
		p.addf("ldap.bind_dn: must not be empty where ldap.url is set")
	}
	if c.Audit.Every < Duration(time.Second) {
		p.addf("audit.every: must be at least 1s")
	}
	for _, r := range []struct {
		key   string
		value int
	}{
		{"address_requests", c.Rates.AddressRequests}, {"address_burst", c.Rates.AddressBurst},
		{"principal_requests", c.Rates.PrincipalRequests}, {"principal_burst", c.Rates.PrincipalBurst},
		{"failed_logins", c.Rates.FailedLogins}, {"failed_burst", c.Rates.FailedBurst},
		{"principal_uploads", c.Rates.PrincipalUploads}, {"repository_uploads", c.Rates.RepositoryUploads},
	} {
		if r.value < 0 {
			p.addf("rates.%s: must not be negative; 0 is no bound", r.key)
		}
	}
}
