package auth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry"
)

// aToken is the text of a token that nobody has.
const aToken = "pkh_00000000000000000000000000000000000000000000BZ9KG"

func basic(text string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(text)) }

func TestCredentialOf(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", maxCredential)
	tests := []struct {
		name          string
		authorization []string
		key           []string
		want          Credential
		none          bool
		refused       string
	}{
		{name: "nothing", none: true},
		{name: "Basic", authorization: []string{basic("alice:pass:word")}, want: Credential{User: "alice", Secret: "pass:word"}},
		{name: "scheme in another case", authorization: []string{"bAsIc  " + basic("alice:p")[6:]}, want: Credential{User: "alice", Secret: "p"}},
		{name: "token as password", authorization: []string{basic("__token__:" + aToken)}, want: Credential{User: "__token__", Secret: aToken}},
		{name: "token as user", authorization: []string{basic(aToken + ":")}, want: Credential{Secret: aToken}},
		{name: "user without password", authorization: []string{basic("alice:")}, want: Credential{User: "alice"}},
		{name: "password beyond ASCII", authorization: []string{basic("älice:pässword")}, want: Credential{User: "älice", Secret: "pässword"}},
		{name: "Bearer", authorization: []string{"Bearer " + aToken}, want: Credential{Secret: aToken, Bare: true}},
		{name: "bearer in another case", authorization: []string{"BEARER a.b.c"}, want: Credential{Secret: "a.b.c", Bare: true}},
		{name: "cargo and gem", authorization: []string{aToken}, want: Credential{Secret: aToken, Bare: true}},
		{name: "nuget", key: []string{aToken}, want: Credential{Secret: aToken, Bare: true}},
		{name: "nuget and Basic, the same", authorization: []string{basic("x:" + aToken)}, key: []string{aToken}, want: Credential{User: "x", Secret: aToken}},
		{name: "nuget and Basic, different", authorization: []string{basic("x:y")}, key: []string{aToken}, refused: "Authorization and X-NuGet-ApiKey show different credentials: send one of them, or the same token in both"},
		{name: "two headers", authorization: []string{basic("a:b"), "Bearer x"}, refused: "there is more than one Authorization header: send one"},
		{name: "two of the same", authorization: []string{basic("a:b"), basic("a:b")}, refused: "there is more than one Authorization header: send one"},
		{name: "two keys", key: []string{"a", "b"}, refused: "there is more than one X-NuGet-ApiKey header: send one"},
		{name: "two keys and Basic", authorization: []string{basic("a:b")}, key: []string{"b", "b"}, refused: "there is more than one X-NuGet-ApiKey header: send one"},
		{name: "empty", authorization: []string{""}, refused: "the token is empty"},
		{name: "empty key", key: []string{""}, refused: "the token is empty"},
		{name: "Basic alone", authorization: []string{"Basic"}, refused: "the Authorization header names a scheme and shows no credentials"},
		{name: "Bearer and a space", authorization: []string{"Bearer "}, refused: "the Authorization header names a scheme and shows no credentials"},
		{name: "another scheme", authorization: []string{"Digest username=alice"}, refused: "the Authorization header is neither Basic nor Bearer nor a token alone"},
		{name: "no base64", authorization: []string{"Basic alice:secret"}, refused: "the Authorization header is not Basic and user:password in base64"},
		{name: "base64 without padding", authorization: []string{"Basic " + strings.TrimRight(basic("alice:pp")[6:], "=")}, refused: "the Authorization header is not Basic and user:password in base64"},
		{name: "base64 with bits left over", authorization: []string{"Basic YTpi" + "YR=="}, refused: "the Authorization header is not Basic and user:password in base64"},
		{name: "base64 with a line break", authorization: []string{"Basic YTpi\nYWI="}, refused: "the Authorization header is not Basic and user:password in base64"},
		{name: "no colon", authorization: []string{basic("alice")}, refused: "the Authorization header has no colon between user and password"},
		{name: "control character in user", authorization: []string{basic("ali\x00ce:x")}, refused: "user or password has control characters or no UTF-8 in it"},
		{name: "control character in password", authorization: []string{basic("alice:x\r\ny")}, refused: "user or password has control characters or no UTF-8 in it"},
		{name: "delete", authorization: []string{basic("alice:x\x7f")}, refused: "user or password has control characters or no UTF-8 in it"},
		{name: "Latin-1", authorization: []string{basic("alice:p\xe4ss")}, refused: "user or password has control characters or no UTF-8 in it"},
		{name: "space in a token", authorization: []string{"Bearer a b"}, refused: "the token has spaces, control characters or no UTF-8 in it"},
		{name: "tab in a key", key: []string{"a\tb"}, refused: "the token has spaces, control characters or no UTF-8 in it"},
		{name: "at the limit", authorization: []string{long}, want: Credential{Secret: long, Bare: true}},
		{name: "over the limit", authorization: []string{long + "a"}, refused: "the Authorization header is longer than 16384 bytes"},
		{name: "key over the limit", key: []string{long + "a"}, refused: "the token is longer than 16384 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{}
			for _, v := range tt.authorization {
				h.Add("Authorization", v)
			}
			for _, v := range tt.key {
				h.Add("X-NuGet-ApiKey", v)
			}
			got, sent, err := CredentialOf(h)
			refused := ""
			if err != nil {
				refused = registry.Public(err).Message
				if !errors.Is(err, registry.Unauthorized) {
					t.Errorf("error is %v, want UNAUTHORIZED", err)
				}
			}
			if diff := cmp.Diff(tt.refused, refused); diff != "" {
				t.Errorf("sentence (-want +got):\n%s", diff)
			}
			if want := tt.refused == "" && !tt.none; sent != want {
				t.Errorf("sent is %t, want %t", sent, want)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("credential (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCredentialHidesItsSecret(t *testing.T) {
	t.Parallel()
	c := Credential{User: "alice", Secret: "hush"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(verb, c); strings.Contains(got, "hush") {
			t.Errorf("%s prints %q", verb, got)
		}
	}
}

// FuzzCredential: what is read is clean and bounded, and reads the same when
// it is sent again.
func FuzzCredential(f *testing.F) {
	for _, seed := range []string{"", "Basic", "Bearer x", aToken, basic("a:b"), basic(aToken + ":"), "Basic ====", "Bearer \x00", "basic YTo=", "Digest a"} {
		f.Add(seed, "")
		f.Add(seed, aToken)
	}
	f.Fuzz(func(t *testing.T, authorization, key string) {
		h := http.Header{"Authorization": {authorization}}
		if key != "" {
			h.Set("X-NuGet-ApiKey", key)
		}
		c, sent, err := CredentialOf(h)
		if err != nil {
			if sent || c != (Credential{}) || !errors.Is(err, registry.Unauthorized) {
				t.Fatalf("CredentialOf = %+v, %t, %v", c, sent, err)
			}
			return
		}
		if !sent || !printable(c.User) || !printable(c.Secret) || len(c.User)+len(c.Secret) > maxCredential {
			t.Fatalf("CredentialOf(%q) = %q, %q, %t", authorization, c.User, c.Secret, sent)
		}
		again := basic(c.User + ":" + c.Secret)
		if c.Bare {
			again = "Bearer " + c.Secret
		} else if strings.Contains(c.User, ":") {
			t.Fatalf("user %q has a colon", c.User)
		}
		if len(again) > maxCredential {
			return
		}
		got, _, err := CredentialOf(http.Header{"Authorization": {again}})
		if err != nil || got != c {
			t.Fatalf("CredentialOf(%q) = %#v, %v; it was %#v", again, got, err, c)
		}
	})
}
