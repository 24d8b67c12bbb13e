package secrets

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// issuer signs ID tokens, and refuses every log-in with all that it was sent.
type issuer struct {
	*httptest.Server
	key *rsa.PrivateKey
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key}
	i.Server = httptest.NewServer(i)
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	var answer any
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		answer = map[string]any{
			"issuer": i.URL, "authorization_endpoint": i.URL + "/authorize", "token_endpoint": i.URL + "/token", "jwks_uri": i.URL + "/keys",
			"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"RS256"},
		}
	case "/keys":
		answer = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &i.key.PublicKey, KeyID: "1", Algorithm: "RS256", Use: "sig"}}}
	default:
		body, _ := io.ReadAll(r.Body)
		user, password, _ := r.BasicAuth()
		w.WriteHeader(http.StatusBadRequest)
		answer = map[string]any{"error": "invalid_client", "error_description": fmt.Sprint("got ", r.Header, " ", user, " ", password, " ", string(body))}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// sign makes an ID token.
func (i *issuer) sign(t *testing.T, audience, subject string) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: i.key, KeyID: "1"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Unix()
	payload, err := json.Marshal(map[string]any{"iss": i.URL, "aud": audience, "sub": subject, "iat": now, "nbf": now, "exp": now + 300, "jti": rand.Text(), "project": "tool"})
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// newDirectory listens for LDAP binds (RFC 4511, section 4.2) and takes the one password. To all else it says
// invalidCredentials, with what it was sent as the diagnostic message.
func newDirectory(t *testing.T, password string) (addr string) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go bind(c, password)
		}
	}()
	return l.Addr().String()
}

func bind(c net.Conn, password string) {
	defer c.Close()
	request := make([]byte, 4096)
	for {
		n, err := c.Read(request)
		if err != nil {
			return
		}
		sent := request[:n]
		// SEQUENCE { messageID INTEGER, bindRequest [APPLICATION 0] … }, of less than 128 bytes.
		if n < 6 || sent[5] != 0x60 {
			return
		}
		result, said := byte(49), ""
		if strings.Contains(string(sent), password) {
			result = 0
		} else if n < 80 {
			said = string(sent)
		}
		answer := append([]byte{0x0a, 1, result, 4, 0, 4, byte(len(said))}, said...)
		answer = append([]byte{2, 1, sent[4], 0x61, byte(len(answer))}, answer...)
		if _, err := c.Write(append([]byte{0x30, byte(len(answer))}, answer...)); err != nil {
			return
		}
	}
}
