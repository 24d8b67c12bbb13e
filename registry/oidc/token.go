package oidc

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

const (
	maxToken   = 16 << 10 // those of CI systems have 1 to 3 KiB
	maxSubject = 1 << 10
	// skew is how far an issuer's clock may be ahead of ours.
	skew = time.Minute
)

// checkError says in our own words what is wrong with a token.
type checkError struct{ text string }

func (e *checkError) Error() string { return e.text }

var errNotJSON = bad("it is not made of JSON objects")

func bad(format string, a ...any) error { return &checkError{fmt.Sprintf(format, a...)} }

// claims are what a token says, as it says it.
type claims map[string]json.RawMessage

// text returns a claim that is a string.
func (c claims) text(name string) (string, bool) {
	var s *string
	if json.Unmarshal(c[name], &s) != nil || s == nil {
		return "", false
	}
	return *s, true
}

// texts returns a claim that is a string or a list of strings.
func (c claims) texts(name string) ([]string, bool) {
	if s, ok := c.text(name); ok {
		return []string{s}, true
	}
	var list []*string
	if json.Unmarshal(c[name], &list) != nil || list == nil || slices.Contains(list, nil) {
		return nil, false
	}
	texts := make([]string, len(list))
	for i, s := range list {
		texts[i] = *s
	}
	return texts, true
}

// at returns a claim that is a time, RFC 7519 section 2 "NumericDate".
func (c claims) at(name string) (time.Time, bool) {
	var seconds *float64 // not json.Number, which reads a string, too
	if json.Unmarshal(c[name], &seconds) != nil || seconds == nil || *seconds < 0 || *seconds > 1<<40 {
		return time.Time{}, false
	}
	return time.Unix(int64(*seconds), 0), true
}

// object reads a JSON object whose names are all different: two readers of one
// that repeats a name can see two objects.
func object(text []byte) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return nil, errNotJSON
	}
	object := map[string]json.RawMessage{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, errNotJSON
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, errNotJSON
		}
		key, _ := name.(string) // the decoder takes nothing else there
		if _, twice := object[key]; twice {
			return nil, bad("it has %q twice", key)
		}
		object[key] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, errNotJSON
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errNotJSON
	}
	return object, nil
}

// Parameters of a JOSE header (RFC 7515 section 4.1) that say where the key is
// or how to read the rest: a key comes from the issuer alone.
var refusedParameters = [...]string{"jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "enc"}

// unverifiedIssuer reads which issuer a token says it is of, and refuses what
// cannot be a signed token.
func unverifiedIssuer(raw string) (string, error) {
	if len(raw) > maxToken {
		return "", bad("it is longer than %d KiB", maxToken>>10)
	}
	parts := strings.SplitN(raw, ".", 4)
	if len(parts) != 3 {
		return "", bad("it is not a JSON Web Token")
	}
	var objects [2]claims
	for i := range objects {
		text, err := base64.RawURLEncoding.Strict().DecodeString(parts[i])
		if err != nil {
			return "", bad("it is not a JSON Web Token")
		}
		if objects[i], err = object(text); err != nil {
			return "", err
		}
	}
	header, payload := objects[0], objects[1]
	alg, _ := header.text("alg")
	if !slices.Contains(algorithms[:], jose.SignatureAlgorithm(alg)) {
		return "", bad("it is not signed in a way that is accepted: RS256, PS256, ES256 and EdDSA are, for example")
	}
	for _, name := range refusedParameters {
		if _, is := header[name]; is {
			return "", bad("its header has %q", name)
		}
	}
	iss, ok := payload.text("iss")
	if !ok || iss == "" {
		return "", bad("it does not name its issuer (iss)")
	}
	return iss, nil
}

// verify checks a token's signature, issuer and times and returns its claims.
// Who it is for is the caller's to check: see [forAudience].
func (i *issuer) verify(ctx context.Context, raw string) (claims, error) {
	if iss, err := unverifiedIssuer(raw); err != nil {
		return nil, err
	} else if iss != i.name {
		return nil, bad("it is of another issuer")
	}
	keys := &keySet{issuer: i}
	token, err := gooidc.NewVerifier(i.name, keys, &gooidc.Config{
		SkipClientIDCheck: true, SupportedSigningAlgs: algorithmNames(), Now: i.now,
	}).Verify(ctx, raw)
	if keys.err != nil {
		return nil, keys.err
	}
	if err != nil {
		return nil, err
	}
	var text json.RawMessage
	if err := token.Claims(&text); err != nil {
		return nil, err
	}
	c, err := object(text)
	if err != nil {
		return nil, err
	}
	return c, claims(c).check(i.name, i.now())
}

// check asks for what go-oidc takes as given: OpenID Connect Core 1.0 section 2
// requires iss, sub, aud, exp and iat.
func (c claims) check(issuer string, now time.Time) error {
	if iss, _ := c.text("iss"); iss != issuer {
		return bad("it is of another issuer")
	}
	if sub, ok := c.text("sub"); !ok || strings.TrimSpace(sub) == "" || len(sub) > maxSubject {
		return bad("it does not say whom it is about (sub)")
	}
	exp, ok := c.at("exp")
	if !ok || !now.Before(exp) {
		return bad("it has expired, or does not say when it does (exp)")
	}
	iat, ok := c.at("iat")
	if !ok || iat.After(now.Add(skew)) || iat.After(exp) {
		return bad("it does not say when it was issued (iat), or that is yet to come")
	}
	if _, is := c["nbf"]; is {
		if nbf, ok := c.at("nbf"); !ok || nbf.After(now.Add(skew)) {
			return bad("it is not valid yet (nbf)")
		}
	}
	return nil
}

// forAudience checks that a token is for one of the accepted audiences and for
// nobody else beside: another that holds it could use it here. vouched says
// that a rule names the authorized party (azp), which may then be another.
func (c claims) forAudience(accepted []string, vouched bool) error {
	audiences, ok := c.texts("aud")
	if !ok || len(audiences) == 0 {
		return bad("it does not say whom it is for (aud)")
	}
	if len(accepted) == 0 {
		return bad("this registry does not know by which audience it is meant: set external_url or oidc.audience, or give the trust rule one")
	}
	for _, a := range audiences {
		if a == "" || !slices.Contains(accepted, a) {
			return bad("it is for the audience %q", a)
		}
	}
	if _, is := c["azp"]; is && !vouched {
		if azp, ok := c.text("azp"); !ok || !slices.Contains(accepted, azp) {
			return bad("it was issued to another party (azp)")
		}
	}
	return nil
}

// forClient checks that a token that a provider sent us is for us, OpenID
// Connect Core 1.0 section 3.1.3.7: others may be meant, too, if we asked.
func (c claims) forClient(id string) error {
	audiences, ok := c.texts("aud")
	if !ok || !slices.Contains(audiences, id) {
		return bad("it is not for this registry (aud)")
	}
	if _, is := c["azp"]; is || len(audiences) > 1 {
		if azp, _ := c.text("azp"); azp != id {
			return bad("it was issued to another party (azp)")
		}
	}
	return nil
}
