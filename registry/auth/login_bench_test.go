package auth

import (
	"testing"

	"github.com/packhouse/packhouse/storage/meta"
)

// BenchmarkAuthenticate is what each request pays that shows a credential
// which was good a moment ago.
func BenchmarkAuthenticate(b *testing.B) {
	e := newEntrance(b)
	alice := e.user("alice", "correct horse battery staple")
	token := e.token(meta.Token{ID: "aaaaaaaaaaaa", Principal: alice.ID})
	claims := claimsOf(alice)
	claims.Token = "aaaaaaaaaaaa"
	for _, way := range []struct {
		name string
		c    Credential
	}{
		{"token", Credential{Secret: token, Bare: true}},
		{"jwt", Credential{Secret: e.jwt(claims), Bare: true}},
		{"password", Credential{User: "alice", Secret: "correct horse battery staple"}},
	} {
		b.Run(way.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.Authenticate(b.Context(), way.c, "192.0.2.1"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("jwt cold", func(b *testing.B) {
		text := e.jwt(claims)
		for b.Loop() {
			if _, err := e.checkJWT(b.Context(), text); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("token cold", func(b *testing.B) {
		hash, _ := ParseTokenText(token)
		for b.Loop() {
			if _, err := e.checkToken(b.Context(), hash); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("argon2id", func(b *testing.B) {
		h := newPHC("x")
		for b.Loop() {
			h.matches("y")
		}
	})
}
