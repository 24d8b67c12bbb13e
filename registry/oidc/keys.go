package oidc

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

const (
	maxKeys    = 100
	minRSABits = 2048
	maxRSABits = 8192 // a longer one costs more to check than it is worth
)

// algorithms are those that sign with a private key: whoever has the public
// keys cannot make a token. An HMAC or none is never among them.
var algorithms = [...]jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
	jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

func algorithmNames() []string {
	names := make([]string, len(algorithms))
	for i, a := range algorithms {
		names[i] = string(a)
	}
	return names
}

// usableKeys picks the public keys for signatures of an RFC 7517 key set. Keys
// of other kinds are no error: a set may hold what is not for us.
func usableKeys(raw []json.RawMessage) ([]jose.JSONWebKey, error) {
	if len(raw) > maxKeys {
		return nil, fmt.Errorf("%d keys are more than the %d that are read", len(raw), maxKeys)
	}
	var keys []jose.JSONWebKey
	for _, text := range raw {
		var k jose.JSONWebKey
		if k.UnmarshalJSON(text) != nil || !k.Valid() || !k.IsPublic() || k.Use != "" && k.Use != "sig" || len(fits(k)) == 0 {
			continue
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errors.New("none of the keys is one to check signatures with")
	}
	return keys, nil
}

// fits lists the algorithms that a key is for.
func fits(k jose.JSONWebKey) []jose.SignatureAlgorithm {
	var list []jose.SignatureAlgorithm
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		if n := key.N.BitLen(); n >= minRSABits && n <= maxRSABits {
			list = algorithms[:6]
		}
	case *ecdsa.PublicKey:
		switch key.Curve.Params().BitSize {
		case 256:
			list = []jose.SignatureAlgorithm{jose.ES256}
		case 384:
			list = []jose.SignatureAlgorithm{jose.ES384}
		case 521:
			list = []jose.SignatureAlgorithm{jose.ES512}
		}
	case ed25519.PublicKey:
		list = []jose.SignatureAlgorithm{jose.EdDSA}
	}
	if k.Algorithm == "" {
		return list
	}
	for _, a := range list {
		if string(a) == k.Algorithm {
			return []jose.SignatureAlgorithm{a}
		}
	}
	return nil
}

// keySet is what go-oidc asks about one token. It keeps the error, of which
// go-oidc passes on the text alone.
type keySet struct {
	*issuer
	err error
}

var _ gooidc.KeySet = (*keySet)(nil)

// VerifySignature implements [gooidc.KeySet].
func (k *keySet) VerifySignature(ctx context.Context, raw string) (payload []byte, err error) {
	payload, k.err = k.signed(ctx, raw)
	return payload, k.err
}

// errSignature says no more: why it does not fit is of use to a forger alone.
var errSignature = bad("it is not signed by its issuer")

// signed checks a token's signature and returns its payload.
func (i *issuer) signed(ctx context.Context, raw string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(raw, algorithms[:])
	if err != nil || len(jws.Signatures) != 1 {
		return nil, errSignature
	}
	head := jws.Signatures[0].Header
	candidates := func(p *published) []jose.JSONWebKey {
		var list []jose.JSONWebKey
		for _, k := range p.keys {
			if head.KeyID != "" && k.KeyID != head.KeyID {
				continue
			}
			for _, a := range fits(k) {
				if string(a) == head.Algorithm {
					list = append(list, k)
				}
			}
		}
		return list
	}
	p, err := i.published(ctx, func(p *published) bool { return len(candidates(p)) > 0 })
	if err != nil {
		return nil, &fetchError{err}
	}
	keys := candidates(p)
	if head.KeyID == "" && len(keys) > 1 {
		return nil, errSignature // which of them is not for us to try
	}
	for _, k := range keys {
		if payload, err := jws.Verify(k.Key); err == nil {
			return payload, nil
		}
	}
	return nil, errSignature
}

// fetchError says that it is not known whether a token is good.
type fetchError struct{ error }

func (e *fetchError) Unwrap() error { return e.error }
