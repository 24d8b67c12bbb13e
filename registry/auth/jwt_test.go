package auth

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/packhouse/packhouse/storage/meta"
)

// TestJWTKeys: a key of another replica is found within a second, and unknown
// ones cost a read a second at most.
func TestJWTKeys(t *testing.T) {
	t.Parallel()
	now := time.Date(2031, 5, 1, 12, 0, 0, 0, time.UTC)
	keys, private := map[string]meta.SecretKey{}, map[string]ed25519.PrivateKey{}
	reads := 0
	var failing error
	generate := func(id string) {
		t.Helper()
		public, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		spki, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		keys[id], private[id] = meta.SecretKey{ID: id, Purpose: jwtPurpose, Public: spki}, key
	}
	newest := "a"
	generate("a")
	signer := func() *jwtSigner {
		return &jwtSigner{
			issuer: defaultIssuer, now: func() time.Time { return now },
			signing: func(context.Context) (string, ed25519.PrivateKey, error) { return newest, private[newest], nil },
			stored: func(context.Context) (list []meta.SecretKey, err error) {
				reads++
				for _, k := range keys {
					list = append(list, k)
				}
				return list, failing
			},
		}
	}
	here, there := signer(), signer()
	if err := errors.Join(here.load(t.Context()), there.load(t.Context())); err != nil {
		t.Fatal(err)
	}
	sign := func() string {
		t.Helper()
		text, issued, expires, err := there.sign(t.Context(), jwtClaims{Subject: "anonymous"}, time.Time{})
		if err != nil || !issued.Equal(now) || expires.Sub(issued) != 5*time.Minute {
			t.Fatalf("sign: %s to %s, %v", issued, expires, err)
		}
		return text
	}
	first := sign()
	verify := func(text string, want error, wantReads int) {
		t.Helper()
		reads = 0
		if _, err := here.verify(t.Context(), text); !errors.Is(err, want) || err != nil && want == nil {
			t.Errorf("verify: %v, want %v", err, want)
		}
		if reads != wantReads {
			t.Errorf("the keys were read %d times, want %d", reads, wantReads)
		}
	}
	verify(first, nil, 0)
	generate("b")
	newest = "b"
	second := sign()
	verify(second, nil, 1)
	verify(first, nil, 0)
	generate("c")
	newest = "c"
	third := sign()
	for range 100 {
		verify(third, errJWT, 0)
	}
	now = now.Add(keysEvery)
	verify(third, nil, 1)
	delete(keys, "a") // a key that was taken away
	now = now.Add(keysEvery)
	verify(mint(private["a"], `{"alg":"EdDSA","typ":"JWT","kid":"x"}`, "{}"), errJWT, 1)
	verify(first, errJWT, 0)
	now = now.Add(keysEvery)
	failing = errors.New("disk on fire")
	verify(first, failing, 1)
	if _, err := here.verify(t.Context(), third); err != nil {
		t.Errorf("a known key needs no database: %v", err)
	}
}

// TestJWTTimes: what is taken around each edge.
func TestJWTTimes(t *testing.T) {
	t.Parallel()
	const at = 2_000_000_000
	j := &jwtSigner{issuer: defaultIssuer, now: func() time.Time { return time.Unix(at, 0) }}
	tests := []struct {
		name               string
		issued, from, ends int64
		want               bool
	}{
		{"usual", at, at, at + 300, true},
		{"longest", at, at, at + 600, true},
		{"too long", at, at, at + 601, false},
		{"just expired", at - 300, at - 300, at - 59, true},
		{"expired", at - 300, at - 300, at - 60, false},
		{"issued in a minute", at + 60, at, at + 300, true},
		{"issued later", at + 61, at, at + 300, false},
		{"in force in a minute", at, at + 60, at + 300, true},
		{"in force later", at, at + 61, at + 300, false},
		{"ends before it begins", at, at + 30, at + 20, false},
		{"ends when issued", at, at, at, false},
		{"ends before issued", at, at, at - 1, false},
		{"end of time", at, at, 1<<63 - 1, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := jwtClaims{Issuer: defaultIssuer, Audience: defaultIssuer, Subject: "x", ID: "x", IssuedAt: tt.issued, NotBefore: tt.from, Expires: tt.ends}
			if got := j.inForce(c); got != tt.want {
				t.Errorf("in force: %t, want %t", got, tt.want)
			}
		})
	}
}
