package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/auth"
)

// serveAudience tells PyPI's clients (twine, uv, the publish action) for whom
// to ask their CI system for an ID token.
func (s *Service) serveAudience(w http.ResponseWriter, r *http.Request) {
	if s.cfg.Audience == "" {
		writeJSON(w, r, http.StatusForbidden, map[string]string{
			"message": "Trusted publishing is not set up: this registry does not know its own name, see external_url and oidc.audience",
		})
		return
	}
	writeJSON(w, r, http.StatusOK, map[string]string{"audience": s.cfg.Audience})
}

// mintError is one problem as PyPI's clients print it.
type mintError struct {
	Code        string `json:"code"`
	Description string `json:"description"`
}

// serveMint is PyPI's exchange, which its clients find at the root of the host:
//
//	POST /_/oidc/mint-token   {"token":"ID TOKEN"}
//	200                       {"success":true,"token":"pkh_…","expires":1795516200}
//	422                       {"message":…,"errors":[{"code":…,"description":…}]}
//
// "repository" may be sent beside the token, as to /-/oidc/token.
func (s *Service) serveMint(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, code, description string) {
		writeJSON(w, r, status, struct {
			Message string      `json:"message"`
			Errors  []mintError `json:"errors"`
		}{"Token request failed", []mintError{{code, description}}})
	}
	var asked struct {
		Token      *string `json:"token"`
		Repository string  `json:"repository"`
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err == nil {
		err = json.Unmarshal(body, &asked)
	}
	var want Want
	if err == nil && asked.Repository != "" {
		want.Repository, err = registry.ParseRepo(asked.Repository)
	}
	if err != nil || asked.Token == nil {
		refuse(http.StatusUnprocessableEntity, "invalid-payload", `the request body is not {"token":"…"}`)
		return
	}
	m, err := s.Exchange(r.Context(), *asked.Token, want, registry.CallerOf(r.Context()).Address)
	if err == nil {
		writeJSON(w, r, http.StatusOK, map[string]any{"success": true, "token": m.Secret, "expires": m.Expires.Unix()})
		return
	}
	e := registry.Public(err)
	switch {
	case errors.Is(err, registry.Unauthorized):
		refuse(http.StatusUnprocessableEntity, "invalid-token", e.Message)
	case errors.Is(err, registry.Denied), errors.Is(err, registry.ParameterInvalid):
		refuse(http.StatusUnprocessableEntity, "invalid-publisher", e.Message)
	default:
		status := e.Code.HTTPStatus()
		if after := e.RetryAfter(status); after != "" {
			w.Header().Set("Retry-After", after)
		}
		refuse(status, "unavailable", e.Message)
	}
}

// serveBurn ends a token that was minted here, which PyPI's clients do once
// they have published:
//
//	POST /_/oidc/burn-token   {"token":"pkh_…"}
//	202                       {"message":"Accepted"}
//
// The answer does not tell whether there was such a token. Those of people and
// service accounts are not ended this way.
func (s *Service) serveBurn(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Token string `json:"token"`
	}
	if err := readJSON(w, r, "oidc.burn", &asked); err != nil {
		writeError(w, r, err)
		return
	}
	if err := s.burn(r.Context(), asked.Token); err != nil {
		writeError(w, r, err)
		return
	}
	writeJSON(w, r, http.StatusAccepted, map[string]string{"message": "Accepted"})
}

func (s *Service) burn(ctx context.Context, secret string) error {
	const op = "oidc.burn"
	if _, ok := auth.ParseTokenText(secret); !ok {
		return nil
	}
	caller := *registry.CallerOf(ctx)
	id, err := s.cfg.Auth.Authenticate(ctx, auth.Credential{Secret: secret, Bare: true}, caller.Address)
	switch {
	case errors.Is(err, registry.Unauthorized), err == nil && id.Kind != auth.Workload:
		return nil
	case err != nil:
		return wrap(op, err)
	}
	caller.Identity, caller.Principal, caller.Token, caller.Subject = id, id.String(), id.Token, id.Subject
	return wrap(op, s.cfg.Auth.RevokeToken(registry.WithCaller(ctx, &caller), secret))
}
