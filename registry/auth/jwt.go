package auth

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// Tokens of Docker's protocol are JWTs (RFC 7519) in the compact form of RFC
// 7515, signed with EdDSA (RFC 8037). There is one algorithm, and keys are
// known by their ids or not at all: nothing in a token is ever fetched.
const (
	jwtAlgorithm = "EdDSA"
	jwtType      = "JWT"
	jwtPurpose   = "jwt"       // of its keys
	maxJWT       = 8 << 10     // bytes
	jwtLife      = 5 * 60      // s, of those we make
	jwtMaxLife   = 10 * 60     // s, of those we take
	jwtSkew      = 60          // s, between the clocks of replicas
	keysEvery    = time.Second // how often an unknown key is looked for
)

// defaultIssuer names a registry that has no other name for itself. Only
// the keys tell its tokens from another's.
const defaultIssuer = "packhouse"

// jwtSigner makes and checks these tokens.
type jwtSigner struct {
	issuer  string // and audience: a registry's tokens are for itself
	now     func() time.Time
	signing func(context.Context) (id string, key ed25519.PrivateKey, err error)
	stored  func(context.Context) ([]meta.SecretKey, error)

	public atomic.Pointer[map[string]ed25519.PublicKey]
	mu     sync.Mutex // held while keys are read
	read   time.Time
}

// sign makes a token that lives from now on, until the given time at most and
// never longer than our tokens do.
func (j *jwtSigner) sign(ctx context.Context, c jwtClaims, until time.Time) (text string, issued, expires time.Time, err error) {
	kid, key, err := j.signing(ctx)
	if err != nil {
		return "", issued, expires, fmt.Errorf("read the key of tokens: %w", err)
	}
	now := j.now().Unix()
	c.Issuer, c.Audience, c.ID = j.issuer, j.issuer, newJWTID()
	c.IssuedAt, c.NotBefore, c.Expires = now, now, now+jwtLife
	if !until.IsZero() {
		c.Expires = min(c.Expires, until.Unix())
	}
	if c.Access == nil {
		c.Access = []jwtAccess{}
	}
	header, err := json.Marshal(jwtHeader{Algorithm: jwtAlgorithm, Type: jwtType, Key: kid})
	if err != nil {
		return "", issued, expires, err
	}
	claims, err := json.Marshal(c)
	if err != nil {
		return "", issued, expires, err
	}
	b64 := base64.RawURLEncoding
	b := b64.AppendEncode(nil, header)
	b = append(b, '.')
	b = b64.AppendEncode(b, claims)
	signature := ed25519.Sign(key, b)
	b = append(b, '.')
	b = b64.AppendEncode(b, signature)
	return string(b), time.Unix(c.IssuedAt, 0), time.Unix(c.Expires, 0), nil
}

func newJWTID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

// verify returns the claims of a token that we or another replica made and
// that is in force now. It returns errJWT, or why keys could not be read.
func (j *jwtSigner) verify(ctx context.Context, text string) (jwtClaims, error) {
	if len(text) > maxJWT || strings.Count(text, ".") != 2 {
		return jwtClaims{}, errJWT
	}
	end := strings.LastIndexByte(text, '.')
	encodedHeader, encodedClaims, _ := strings.Cut(text[:end], ".")
	header, err := decodeSegment(encodedHeader)
	if err != nil {
		return jwtClaims{}, err
	}
	h, err := parseJWTHeader(header)
	if err != nil || h.Algorithm != jwtAlgorithm || h.Type != jwtType {
		return jwtClaims{}, errJWT
	}
	key, err := j.key(ctx, h.Key)
	if err != nil {
		return jwtClaims{}, err
	}
	signature, err := decodeSegment(text[end+1:])
	if err != nil || len(signature) != ed25519.SignatureSize || !ed25519.Verify(key, []byte(text[:end]), signature) {
		return jwtClaims{}, errJWT
	}
	claims, err := decodeSegment(encodedClaims)
	if err != nil {
		return jwtClaims{}, err
	}
	c, err := parseJWTClaims(claims)
	if err != nil || !j.inForce(c) {
		return jwtClaims{}, errJWT
	}
	return c, nil
}

// inForce checks the registered claims. None is negative.
func (j *jwtSigner) inForce(c jwtClaims) bool {
	now := j.now().Unix()
	switch {
	case c.Issuer != j.issuer, c.Audience != j.issuer, c.Subject == "", c.ID == "":
		return false
	case c.Expires <= c.IssuedAt, c.Expires-c.IssuedAt > jwtMaxLife, c.NotBefore > c.Expires:
		return false
	}
	return now < c.Expires+jwtSkew && c.NotBefore <= now+jwtSkew && c.IssuedAt <= now+jwtSkew
}

// decodeSegment decodes base64url without padding, each text in one way only.
func decodeSegment(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") { // which the decoder passes over
		return nil, errJWT
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, errJWT
	}
	return b, nil
}

// key finds a key by its id. One that is not known may be another replica's:
// the stored ones are read again, at most once in [keysEvery].
func (j *jwtSigner) key(ctx context.Context, id string) (ed25519.PublicKey, error) {
	if key, ok := (*j.public.Load())[id]; ok {
		return key, nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if now := j.now(); now.Sub(j.read) >= keysEvery {
		j.read = now
		if err := j.load(ctx); err != nil {
			return nil, err
		}
	}
	if key, ok := (*j.public.Load())[id]; ok {
		return key, nil
	}
	return nil, errJWT
}

// load reads the public keys. Ours need not be opened for that.
func (j *jwtSigner) load(ctx context.Context) error {
	stored, err := j.stored(ctx)
	if err != nil {
		return fmt.Errorf("read the keys of tokens: %w", err)
	}
	keys := make(map[string]ed25519.PublicKey, len(stored))
	for _, k := range stored {
		parsed, err := x509.ParsePKIXPublicKey(k.Public)
		if err != nil {
			return fmt.Errorf("read key %s of tokens: %w", k.ID, err)
		}
		public, ok := parsed.(ed25519.PublicKey)
		if !ok {
			return fmt.Errorf("read key %s of tokens: it is %T, want Ed25519", k.ID, parsed)
		}
		keys[k.ID] = public
	}
	if known := j.public.Load(); known == nil || !maps.EqualFunc(*known, keys, func(a, b ed25519.PublicKey) bool { return bytes.Equal(a, b) }) {
		j.public.Store(&keys)
	}
	return nil
}

// access is what claims say, in our own words.
func (c jwtClaims) access() *Claims {
	claims := &Claims{Access: make([]ClaimedAccess, 0, len(c.Access))}
	for _, a := range c.Access {
		if entry, ok := a.claimed(); ok {
			claims.Access = append(claims.Access, entry)
		}
	}
	return claims
}

// The resource types of Docker's scopes that mean something here.
const (
	repositoryType = "repository"
	registryType   = "registry"
	catalogName    = "catalog"
)

func (a jwtAccess) claimed() (ClaimedAccess, bool) {
	switch {
	case a.Type == repositoryType && a.Name != "":
		return ClaimedAccess{
			Repo: registry.Repo(a.Name), Verbs: VerbsOfActions(a.Actions),
			Incarnation: Incarnation{Namespace: a.Namespace, Repository: a.Repository},
		}, true
	case a.Type == registryType && a.Name == catalogName:
		return ClaimedAccess{Verbs: Verbs(0).With(registry.List)}, true
	}
	return ClaimedAccess{}, false
}
