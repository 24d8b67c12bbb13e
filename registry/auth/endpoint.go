package auth

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/packhouse/packhouse/registry"
)

const (
	endpointOp   = "auth.TokenEndpoint"
	maxTokenBody = 64 << 10
	maxScopes    = 100
	maxClientID  = 64
)

// tokenEndpoint is where clients of Docker's protocol get their tokens:
// distribution "Token Authentication Specification" (GET) and "OAuth2 Token
// Authentication" (POST).
type tokenEndpoint struct {
	*Service
	realm, service func(*http.Request) string
}

// TokenEndpoint serves GET, HEAD and POST of the token endpoint. It
// authenticates by itself. realm is the URL that this registry is known by,
// service its name in challenges.
func (s *Service) TokenEndpoint(realm, service func(*http.Request) string) http.Handler {
	return &tokenEndpoint{s, realm, service}
}

// tokenRequest is what a client asks for.
type tokenRequest struct {
	credential Credential
	known      bool // it showed a credential
	service    string
	client     string
	scopes     []string
	offline    bool // a refresh token, too
	oauth      bool // answer as OAuth 2.0 does
	head       bool
}

// tokenResponse is the answer of both protocols.
type tokenResponse struct {
	Token        string `json:"token,omitempty"`
	AccessToken  string `json:"access_token"`
	ExpiresIn    int64  `json:"expires_in"` // s
	IssuedAt     string `json:"issued_at"`  // RFC 3339, UTC
	RefreshToken string `json:"refresh_token,omitempty"`
	TokenType    string `json:"token_type,omitempty"`
	Scope        string `json:"scope,omitempty"`
}

func (e *tokenEndpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	var q tokenRequest
	var err error
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		q, err = readTokenQuery(r)
	case http.MethodPost:
		q, err = readTokenForm(w, r)
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		err = registry.E(endpointOp, registry.Unsupported, nil, "tokens are had by GET or POST")
	}
	if err == nil && q.service != "" && !strings.EqualFold(q.service, e.service(r)) {
		err = registry.E(endpointOp, registry.ParameterInvalid, nil, "this registry is %s and makes no tokens for %q: take the service from its own challenge", e.service(r), clip(q.service))
	}
	var answer tokenResponse
	if err == nil {
		answer, err = e.answer(r.Context(), q)
	}
	if err != nil {
		e.refuse(w, r, err)
		return
	}
	body, err := json.Marshal(answer) //nolint:gosec // handing out tokens is what this is for
	if err != nil {
		e.refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if !q.head {
		_, _ = w.Write(body) // a client that went away
	}
}

// readTokenQuery reads service, scope (many, each also several), account,
// client_id and offline_token.
func readTokenQuery(r *http.Request) (tokenRequest, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return tokenRequest{}, registry.E(endpointOp, registry.ParameterInvalid, nil, "the query of the request cannot be read")
	}
	q := tokenRequest{
		service: values.Get("service"), client: values.Get("client_id"), scopes: values["scope"],
		offline: values.Get("offline_token") == "true", head: r.Method == http.MethodHead,
	}
	q.credential, q.known, err = CredentialOf(r.Header)
	return q, err
}

// readTokenForm reads grant_type, service, client_id, access_type, scope, and
// username with password or refresh_token.
func readTokenForm(w http.ResponseWriter, r *http.Request) (tokenRequest, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return tokenRequest{}, registry.E(endpointOp, registry.ParameterInvalid, nil, "send the request as application/x-www-form-urlencoded")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxTokenBody))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return tokenRequest{}, registry.E(endpointOp, registry.TooLarge, nil, "the request is larger than %d bytes", maxTokenBody)
	}
	if err != nil {
		return tokenRequest{}, registry.E(endpointOp, registry.ParameterInvalid, err, "the request ended early")
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return tokenRequest{}, registry.E(endpointOp, registry.ParameterInvalid, nil, "the body of the request cannot be read")
	}
	for name, list := range values {
		if len(list) > 1 && name != "scope" { // RFC 6749, section 3.2
			return tokenRequest{}, registry.E(endpointOp, registry.ParameterInvalid, nil, "%q is there %d times: send it once", clip(name), len(list))
		}
	}
	q := tokenRequest{
		known: true, oauth: true, service: values.Get("service"), client: values.Get("client_id"), scopes: values["scope"],
		offline: values.Get("access_type") == "offline",
	}
	switch grant := values.Get("grant_type"); grant {
	case "password":
		q.credential, err = basicCredential(values.Get("username"), values.Get("password"))
	case "refresh_token":
		q.credential = Credential{Secret: values.Get("refresh_token"), Bare: true}
		if _, ok := ParseTokenText(q.credential.Secret); !ok {
			err = errRefused
		}
	default:
		err = registry.E(endpointOp, registry.ParameterInvalid, nil, "grant_type is %q: use password or refresh_token", clip(grant))
	}
	return q, err
}

// answer makes the tokens.
func (e *tokenEndpoint) answer(ctx context.Context, q tokenRequest) (tokenResponse, error) {
	id, ctx, err := e.who(ctx, q)
	if err != nil {
		return tokenResponse{}, err
	}
	access, err := e.granted(ctx, id, q.scopes)
	if err != nil {
		return tokenResponse{}, err
	}
	c := jwtClaims{Subject: id.String(), Principal: id.ID, Token: id.Token, Scope: id.Scope, Access: access}
	var until time.Time
	if id.Token != "" {
		t, err := e.meta.Token(ctx, id.Token)
		if err != nil {
			return tokenResponse{}, err
		}
		until, _ = tokenEnds(t, e.now())
	}
	var refresh string
	switch {
	case !q.offline || q.head || id.ID == 0:
	case id.Token != "":
		refresh = q.credential.Secret
	default:
		m, err := e.Mint(ctx, MintParams{Principal: id.ID, Name: loginName(q.client)})
		if err != nil {
			return tokenResponse{}, err
		}
		refresh, c.Token, until = m.Secret, m.ID, m.Expires
	}
	if id.Kind == User || id.Kind == ServiceAccount {
		owner, ok := e.Policy().Principal(id.ID)
		if !ok {
			return tokenResponse{}, errRefused
		}
		c.Epoch = owner.Epoch
	}
	text, issued, expires, err := e.login.jwt.sign(ctx, c, until)
	switch {
	case err != nil:
		return tokenResponse{}, err
	case len(text) > maxJWT:
		return tokenResponse{}, registry.E(endpointOp, registry.ParameterInvalid, nil, "a token for so many repositories would be too long: ask for fewer scopes at once")
	}
	a := tokenResponse{
		Token: text, AccessToken: text, RefreshToken: refresh,
		ExpiresIn: int64(expires.Sub(issued) / time.Second), IssuedAt: issued.UTC().Format(time.RFC3339),
	}
	if q.oauth {
		a.TokenType, a.Scope = "Bearer", scopeText(access)
	}
	return a, nil
}

// who authenticates the client and notes in its caller who it is.
func (e *tokenEndpoint) who(ctx context.Context, q tokenRequest) (*Identity, context.Context, error) {
	if e.Open() {
		return &Identity{Kind: Open}, ctx, nil
	}
	if !q.known {
		return &Identity{Kind: Anonymous}, ctx, nil
	}
	caller := registry.CallerOf(ctx)
	id, err := e.Authenticate(ctx, q.credential, caller.Address)
	if err != nil {
		return nil, ctx, err
	}
	if id.Claims != nil { // it would never end
		return nil, ctx, registry.E(endpointOp, registry.Unauthorized, nil, "a token of this endpoint cannot be exchanged for another: log in with a password or a token of your own")
	}
	caller.Principal, caller.Token, caller.Subject, caller.Identity = id.String(), id.Token, id.Subject, id
	return id, registry.WithCaller(ctx, caller), nil
}

// loginName names the token that a client got for a password.
func loginName(client string) string {
	name := strings.Map(func(r rune) rune {
		if r < '!' || r > '~' {
			return -1
		}
		return r
	}, client[:min(len(client), maxClientID)])
	if name == "" {
		return "login"
	}
	return "login " + name
}

// refuse answers in the words of both protocols: distribution's errors, and
// RFC 6749, section 5.2.
func (e *tokenEndpoint) refuse(w http.ResponseWriter, r *http.Request, err error) {
	public := registry.Public(e.unchecked(err))
	status := public.Code.HTTPStatus()
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", Challenge(ChallengeBasic, e.realm(r), "", "", ""))
	}
	if after := public.RetryAfter(status); after != "" {
		w.Header().Set("Retry-After", after)
	}
	if status >= http.StatusInternalServerError {
		e.log.WarnContext(r.Context(), "token request failed", "error", err)
	}
	type one struct {
		Code    registry.Code `json:"code"`
		Message string        `json:"message"`
	}
	body, err := json.Marshal(struct {
		Errors      []one  `json:"errors"`
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{[]one{{public.Code, public.Message}}, oauthError(public.Code), public.Message})
	if err != nil { // texts alone
		body = nil
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that went away
	}
}

func oauthError(c registry.Code) string {
	switch c { //nolint:exhaustive // RFC 6749 has few words
	case registry.Unauthorized:
		return "invalid_grant"
	case registry.ParameterInvalid, registry.Unsupported, registry.TooLarge:
		return "invalid_request"
	}
	return "temporarily_unavailable"
}
