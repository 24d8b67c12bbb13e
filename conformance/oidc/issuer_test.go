package oidc

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

const (
	clientID     = "packhouse"
	clientSecret = "a secret: with%2F signs+that are escaped"
	ciToken      = "what the CI system gave to the job"
)

// person is somebody whom the issuer knows.
type person struct {
	password, name, full, email string
	groups                      []string
}

// issuer is a running OpenID Connect provider.
type issuer struct {
	*httptest.Server
	provider *op.Provider
	key      *rsa.PrivateKey

	mu       sync.Mutex
	people   map[string]*person // by subject
	requests map[string]*authRequest
	codes    map[string]string // code → request
	tokens   map[string]string // access token → subject
	// asserted says that ID tokens have what else the user info has.
	asserted bool
	redirect string
	job      claims // what the next job's ID token says
}

type claims map[string]any

func (c claims) with(more claims) claims {
	all := maps.Clone(c)
	maps.Copy(all, more)
	return all
}

func newIssuer(t *testing.T, redirect string) *issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key, redirect: redirect, people: map[string]*person{}, requests: map[string]*authRequest{}, codes: map[string]string{}, tokens: map[string]string{}}
	i.Server = httptest.NewServer(i)
	t.Cleanup(i.Close)
	i.provider, err = op.NewProvider(&op.Config{CryptoKey: [32]byte{1}, CodeMethodS256: true}, &storage{i}, op.StaticIssuer(i.URL), op.WithAllowInsecure())
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/login":
		i.login(w, r)
	case "/ci":
		i.ci(w, r)
	default:
		i.provider.ServeHTTP(w, r)
	}
}

// login is the page where people type their password.
func (i *issuer) login(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("id")
	if r.Method != http.MethodPost {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, `<form method="post" action="/login?id=%s"><input name="user"><input name="password" type="password"></form>`, html.EscapeString(url.QueryEscape(id)))
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	for subject, p := range i.people {
		if request := i.requests[id]; request != nil && p.name == r.FormValue("user") && p.password == r.FormValue("password") {
			request.subject, request.done, request.at = subject, true, time.Now()
			http.Redirect(w, r, i.provider.AuthorizationEndpoint().Absolute(i.URL)+"/callback?id="+url.QueryEscape(id), http.StatusFound)
			return
		}
	}
	http.Error(w, "wrong", http.StatusForbidden)
}

// ci gives a job its ID token, as GitHub Actions does.
func (i *issuer) ci(w http.ResponseWriter, r *http.Request) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare([]byte(token), []byte(ciToken)) == 0 {
		http.Error(w, "whose job is that?", http.StatusForbidden)
		return
	}
	i.mu.Lock()
	job := i.job
	i.mu.Unlock()
	value, err := i.sign(job, r.URL.Query().Get("audience"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"count": 1, "value": value})
}

// sign signs a job's claims with the issuer's key.
func (i *issuer) sign(job claims, audience string) (string, error) {
	now := time.Now().Unix()
	payload, err := json.Marshal(job.with(claims{"iss": i.URL, "aud": audience, "iat": now, "nbf": now, "exp": now + 300, "jti": rand.Text()}))
	if err != nil {
		return "", err
	}
	signer, err := op.SignerFromKey(signingKey{i.key})
	if err != nil {
		return "", err
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return jws.CompactSerialize()
}

func (i *issuer) mustSign(t *testing.T, job claims, audience string) string {
	t.Helper()
	token, err := i.sign(job, audience)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (i *issuer) run(job claims) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.job = job
}

// signingKey is the issuer's key, as op wants it.
type signingKey struct{ *rsa.PrivateKey }

func (signingKey) ID() string                                  { return "conformance" }
func (signingKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k signingKey) Key() any                                  { return k.PrivateKey }

type publicKey struct{ signingKey }

func (publicKey) Algorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (publicKey) Use() string                        { return "sig" }
func (k publicKey) Key() any                         { return &k.PublicKey }

// authRequest is one log-in under way at the issuer.
type authRequest struct {
	*oidc.AuthRequest
	id, subject string
	done        bool
	at          time.Time
}

var _ op.AuthRequest = (*authRequest)(nil)

func (a *authRequest) GetID() string          { return a.id }
func (a *authRequest) GetACR() string         { return "" }
func (a *authRequest) GetAMR() []string       { return []string{"pwd"} }
func (a *authRequest) GetAudience() []string  { return []string{a.ClientID} }
func (a *authRequest) GetAuthTime() time.Time { return a.at }
func (a *authRequest) GetClientID() string    { return a.ClientID }
func (a *authRequest) GetNonce() string       { return a.Nonce }
func (a *authRequest) GetScopes() []string    { return a.Scopes }
func (a *authRequest) GetSubject() string     { return a.subject }
func (a *authRequest) GetRedirectURI() string { return a.RedirectURI }
func (a *authRequest) GetState() string       { return a.State }
func (a *authRequest) Done() bool             { return a.done }
func (a *authRequest) GetCodeChallenge() *oidc.CodeChallenge {
	return &oidc.CodeChallenge{Challenge: a.CodeChallenge, Method: a.CodeChallengeMethod}
}
func (a *authRequest) GetResponseType() oidc.ResponseType { return a.ResponseType }
func (a *authRequest) GetResponseMode() oidc.ResponseMode { return a.ResponseMode }

// client is the registry, as the issuer knows it: a confidential one that shows PKCE and must come back to one URL.
type client struct{ *issuer }

var _ op.Client = client{}

func (client) GetID() string                       { return clientID }
func (c client) RedirectURIs() []string            { return []string{c.redirect} }
func (client) PostLogoutRedirectURIs() []string    { return nil }
func (client) ApplicationType() op.ApplicationType { return op.ApplicationTypeWeb }
func (client) AuthMethod() oidc.AuthMethod         { return oidc.AuthMethodBasic }
func (client) ResponseTypes() []oidc.ResponseType  { return []oidc.ResponseType{oidc.ResponseTypeCode} }
func (client) GrantTypes() []oidc.GrantType        { return []oidc.GrantType{oidc.GrantTypeCode} }
func (client) LoginURL(id string) string           { return "/login?id=" + url.QueryEscape(id) }
func (client) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeBearer }
func (client) IDTokenLifetime() time.Duration      { return 5 * time.Minute }
func (client) DevMode() bool                       { return false }
func (client) ClockSkew() time.Duration            { return 0 }
func (client) IsScopeAllowed(scope string) bool    { return scope == "groups" }
func (c client) IDTokenUserinfoClaimsAssertion() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asserted
}

func (c client) RestrictAdditionalIdTokenScopes() func([]string) []string { //nolint:staticcheck // op's name
	return func(scopes []string) []string {
		if c.IDTokenUserinfoClaimsAssertion() {
			return scopes
		}
		return nil
	}
}

func (client) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return func(scopes []string) []string { return scopes }
}

// storage is what the provider keeps, in memory.
type storage struct{ *issuer }

var _ op.Storage = (*storage)(nil)

var errNotHere = errors.New("this is not here")

func (s *storage) CreateAuthRequest(_ context.Context, r *oidc.AuthRequest, _ string) (op.AuthRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.CodeChallenge == "" || r.CodeChallengeMethod != oidc.CodeChallengeMethodS256 || r.Nonce == "" || r.State == "" {
		return nil, oidc.ErrInvalidRequest().WithDescription("PKCE, nonce and state are wanted here")
	}
	a := &authRequest{AuthRequest: r, id: rand.Text()}
	s.requests[a.id] = a
	return a, nil
}

func (s *storage) AuthRequestByID(_ context.Context, id string) (op.AuthRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.requests[id]; a != nil {
		return a, nil
	}
	return nil, errNotHere
}

func (s *storage) AuthRequestByCode(ctx context.Context, code string) (op.AuthRequest, error) {
	s.mu.Lock()
	id := s.codes[code]
	delete(s.codes, code)
	s.mu.Unlock()
	return s.AuthRequestByID(ctx, id)
}

func (s *storage) SaveAuthCode(_ context.Context, id, code string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.codes[code] = id
	return nil
}

func (s *storage) DeleteAuthRequest(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.requests, id)
	return nil
}

func (s *storage) CreateAccessToken(_ context.Context, r op.TokenRequest) (string, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := rand.Text()
	s.tokens[id] = r.GetSubject()
	return id, time.Now().Add(5 * time.Minute), nil
}

func (s *storage) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	if id != clientID {
		return nil, errNotHere
	}
	return client{s.issuer}, nil
}

func (s *storage) AuthorizeClientIDSecret(_ context.Context, id, secret string) error {
	if id != clientID || secret != clientSecret {
		return errNotHere
	}
	return nil
}

func (s *storage) SetUserinfoFromScopes(_ context.Context, u *oidc.UserInfo, subject, _ string, scopes []string) error {
	return s.describe(u, subject, scopes)
}

func (s *storage) SetUserinfoFromToken(_ context.Context, u *oidc.UserInfo, id, subject, _ string) error {
	s.mu.Lock()
	known := s.tokens[id] == subject
	s.mu.Unlock()
	if !known {
		return errNotHere
	}
	return s.describe(u, subject, []string{oidc.ScopeOpenID, oidc.ScopeProfile, oidc.ScopeEmail, "groups"})
}

func (s *storage) describe(u *oidc.UserInfo, subject string, scopes []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.people[subject]
	if p == nil {
		return errNotHere
	}
	if slices.Contains(scopes, oidc.ScopeOpenID) {
		u.Subject = subject
	}
	if slices.Contains(scopes, oidc.ScopeProfile) {
		u.PreferredUsername, u.Name = p.name, p.full
	}
	if slices.Contains(scopes, oidc.ScopeEmail) {
		u.Email = p.email
	}
	if slices.Contains(scopes, "groups") {
		u.AppendClaims("groups", p.groups)
	}
	return nil
}

func (s *storage) SigningKey(context.Context) (op.SigningKey, error) { return signingKey{s.key}, nil }

func (s *storage) KeySet(context.Context) ([]op.Key, error) {
	return []op.Key{publicKey{signingKey{s.key}}}, nil
}

func (s *storage) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.RS256}, nil
}
func (s *storage) Health(context.Context) error { return nil }

// What this provider does not offer.

func (s *storage) CreateAccessAndRefreshTokens(context.Context, op.TokenRequest, string) (string, string, time.Time, error) {
	return "", "", time.Time{}, errNotHere
}

func (s *storage) TokenRequestByRefreshToken(context.Context, string) (op.RefreshTokenRequest, error) {
	return nil, errNotHere
}

func (s *storage) GetRefreshTokenInfo(context.Context, string, string) (string, string, error) {
	return "", "", op.ErrInvalidRefreshToken
}
func (s *storage) TerminateSession(context.Context, string, string) error { return nil }
func (s *storage) RevokeToken(context.Context, string, string, string) *oidc.Error {
	return nil
}

func (s *storage) SetIntrospectionFromToken(context.Context, *oidc.IntrospectionResponse, string, string, string) error {
	return errNotHere
}

func (s *storage) GetPrivateClaimsFromScopes(context.Context, string, string, []string) (map[string]any, error) {
	return nil, nil //nolint:nilnil // there are none
}

func (s *storage) GetKeyByIDAndClientID(context.Context, string, string) (*jose.JSONWebKey, error) {
	return nil, errNotHere
}

func (s *storage) ValidateJWTProfileScopes(context.Context, string, []string) ([]string, error) {
	return nil, errNotHere
}
