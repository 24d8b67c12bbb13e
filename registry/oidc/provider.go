package oidc

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// sent is what the provider's answer must fit, sealed in the log-in's row.
type sent struct {
	Verifier string `json:"verifier"` // of PKCE, RFC 7636
	Nonce    string `json:"nonce"`
	Browser  []byte `json:"browser"` // SHA-256 of the cookie of the browser that went there
}

const sealPurpose = "login provider"

// callbackPath is where the provider sends people back to.
const callbackPath = "/-/login/callback"

// authorization asks the provider what it publishes and makes of it the client
// that talks to it.
func (s *Service) authorization(ctx context.Context, op string) (oauth2.Config, *published, error) {
	p := s.cfg.People
	known, err := s.issuers.get(p.Issuer).published(ctx, nil)
	if err == nil {
		e := known.provider.Endpoint()
		err = errors.Join(checkEndpoint("authorization_endpoint", e.AuthURL), checkEndpoint("token_endpoint", e.TokenURL))
	}
	if err != nil {
		s.log.WarnContext(ctx, "provider cannot be asked", "issuer", p.Issuer, "error", err)
		return oauth2.Config{}, nil, registry.E(op, registry.Unavailable, err, "the provider that people log in by does not answer as it should: try again, or use a password")
	}
	return oauth2.Config{
		ClientID: p.ClientID, ClientSecret: p.ClientSecret, Endpoint: tokenEndpoint(known.provider, p),
		RedirectURL: s.cfg.External + callbackPath, Scopes: append([]string{gooidc.ScopeOpenID}, p.Scopes...),
	}, known, nil
}

// tokenEndpoint says how the provider wants to see the client's secret. To try
// both ways would show it a code twice, for which it may take a thief's.
func tokenEndpoint(known *gooidc.Provider, p Provider) oauth2.Endpoint {
	var document struct {
		Methods []string `json:"token_endpoint_auth_methods_supported"`
	}
	e := known.Endpoint()
	e.AuthStyle = oauth2.AuthStyleInHeader // what holds where nothing is said
	if err := known.Claims(&document); p.ClientSecret == "" || err == nil && len(document.Methods) > 0 && !slices.Contains(document.Methods, "client_secret_basic") {
		e.AuthStyle = oauth2.AuthStyleInParams
	}
	return e
}

// send prepares a log-in for the provider and returns where the browser is to
// go: OpenID Connect Core 1.0 section 3.1.2.1, with PKCE.
func (s *Service) send(ctx context.Context, l meta.Login, browser string) (string, error) {
	const op = "oidc.send"
	client, _, err := s.authorization(ctx, op)
	if err != nil {
		return "", err
	}
	state, x := random(32), sent{Verifier: oauth2.GenerateVerifier(), Nonce: random(32), Browser: hash(browser)}
	plain, err := json.Marshal(x)
	if err != nil {
		return "", wrap(op, err)
	}
	err = s.cfg.Meta.Update(ctx, meta.Options{Unaudited: true}, func(ctx context.Context, tx *meta.Tx) error {
		return tx.SendLogin(ctx, l.ID, hash(state), s.cfg.Seal.Seal(sealPurpose, l.ID, plain))
	})
	if errors.Is(err, meta.ErrNotFound) {
		return "", errOver(op)
	} else if err != nil {
		return "", wrap(op, err)
	}
	return client.AuthCodeURL(state, oauth2.S256ChallengeOption(x.Verifier), gooidc.Nonce(x.Nonce)), nil
}

// come takes the provider's answer, finds who it is about, and says yes for
// that user.
func (s *Service) come(ctx context.Context, q url.Values, browser, address string) (meta.Login, meta.Principal, error) {
	const op = "oidc.come"
	fail := func(err error) (meta.Login, meta.Principal, error) { return meta.Login{}, meta.Principal{}, err }
	l, x, err := s.take(ctx, op, q.Get("state"), browser)
	if err != nil {
		return fail(err)
	}
	// RFC 9207: an answer of another provider that was mixed in.
	if iss := q.Get("iss"); iss != "" && iss != s.cfg.People.Issuer {
		return fail(registry.E(op, registry.Denied, nil, "the answer is not of the provider that was asked: begin again"))
	}
	if q.Has("error") {
		return fail(registry.E(op, registry.Denied, nil, "the provider did not let you in (%s): begin again", clip(q.Get("error"), 60)))
	}
	c, err := s.redeem(ctx, op, q.Get("code"), x)
	if err != nil {
		return fail(err)
	}
	who, err := s.user(ctx, c, address)
	if err != nil {
		return fail(err)
	}
	return l, who, s.approve(ctx, op, l, who.ID)
}

// take finds the log-in that a state belongs to; a state is good once.
func (s *Service) take(ctx context.Context, op, state, browser string) (l meta.Login, x sent, err error) {
	var sealed []byte
	err = s.cfg.Meta.Update(ctx, meta.Options{Unaudited: true}, func(ctx context.Context, tx *meta.Tx) (err error) {
		l, sealed, err = tx.TakeState(ctx, hash(state))
		return err
	})
	if errors.Is(err, meta.ErrNotFound) {
		return l, x, errOver(op)
	} else if err != nil {
		return l, x, wrap(op, err)
	}
	plain, err := s.cfg.Seal.Open(sealPurpose, l.ID, sealed)
	if err == nil {
		err = json.Unmarshal(plain, &x)
	}
	if err != nil {
		return l, x, wrap(op, err)
	}
	// Another browser than the one that went there: somebody was sent here
	// with an answer that is about somebody else.
	if browser == "" || subtle.ConstantTimeCompare(hash(browser), x.Browser) == 0 {
		return l, x, registry.E(op, registry.Denied, nil, "this is not the browser in which the log-in was begun: begin again, with cookies allowed")
	}
	return l, x, nil
}

// redeem exchanges the provider's code for an ID token and returns what that,
// and where it says too little the provider's user info, says.
func (s *Service) redeem(ctx context.Context, op, code string, x sent) (claims, error) {
	client, known, err := s.authorization(ctx, op)
	if err != nil {
		return nil, err
	}
	bad := func(cause error, why string) (claims, error) {
		s.log.WarnContext(ctx, "provider's answer is not taken", "issuer", s.cfg.People.Issuer, "why", why, "error", cause)
		return nil, registry.E(op, registry.Denied, cause, "the provider's answer is not good: %s: begin again", why)
	}
	ctx = gooidc.ClientContext(ctx, s.issuers.client)
	token, err := client.Exchange(ctx, code, oauth2.VerifierOption(x.Verifier))
	if err != nil {
		return bad(exchangeFailed(err), "it does not take its own code")
	}
	raw, _ := token.Extra("id_token").(string)
	if raw == "" {
		return bad(nil, "it has no ID token")
	}
	c, err := s.issuers.get(s.cfg.People.Issuer).verify(ctx, raw)
	if err == nil {
		err = c.forClient(s.cfg.People.ClientID)
	}
	if err != nil {
		return bad(err, reason(err))
	}
	if nonce, _ := c.text("nonce"); subtle.ConstantTimeCompare([]byte(nonce), []byte(x.Nonce)) == 0 {
		return bad(nil, "its ID token was made for another log-in")
	}
	if c[s.cfg.People.NameClaim] != nil && (s.cfg.People.GroupsClaim == "" || c[s.cfg.People.GroupsClaim] != nil) || known.provider.UserInfoEndpoint() == "" {
		return c, nil
	}
	if err := s.complete(ctx, known.provider, token, c); err != nil {
		return bad(err, "its user info is not to be had, or is about somebody else")
	}
	return c, nil
}

// exchangeFailed is all that is said of a provider's refusal: its words may be
// an echo of what it was sent, the client's secret too.
func exchangeFailed(err error) error {
	e, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok {
		return err
	}
	code := e.ErrorCode
	switch code { // RFC 6749, section 5.2
	case "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope":
	default:
		code = "no error code of the protocol"
	}
	return fmt.Errorf("status %d, %s", e.Response.StatusCode, code)
}

// complete adds the claims that a provider keeps for its user info, OpenID
// Connect Core 1.0 section 5.3. What the ID token says stays.
func (s *Service) complete(ctx context.Context, p *gooidc.Provider, token *oauth2.Token, c claims) error {
	if err := checkEndpoint("userinfo_endpoint", p.UserInfoEndpoint()); err != nil {
		return err
	}
	info, err := p.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return err
	}
	if sub, _ := c.text("sub"); info.Subject != sub {
		return errors.New("user info is about another subject")
	}
	var more json.RawMessage
	if err := info.Claims(&more); err != nil {
		return err
	}
	added, err := object(more)
	if err != nil {
		return err
	}
	for name, value := range added {
		if c[name] == nil {
			c[name] = value
		}
	}
	return nil
}
