package oidc

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/packhouse/packhouse/registry"
)

// serveToken is the exchange for any client and any format:
//
//	POST /-/oidc/token   {"token":"ID TOKEN","repository":"acme/npm/left-pad"}
//	                     or token=…&repository=… as a form
//	                     or Authorization: Bearer ID TOKEN, with or without the rest
//	200                  {"token":"pkh_…","expires_at":"2026-11-24T12:00:00Z"}
//
// repository may be left out for all that the trust rule says. Errors are
// {"code":…,"message":…}.
func (s *Service) serveToken(w http.ResponseWriter, r *http.Request) {
	const op = "oidc.token"
	ask, err := readAsk(w, r, op)
	var want Want
	if err == nil && ask.Repository != "" {
		want.Repository, err = registry.ParseRepo(ask.Repository)
	}
	if err != nil {
		writeError(w, r, err)
		return
	}
	m, err := s.Exchange(r.Context(), ask.Token, want, registry.CallerOf(r.Context()).Address)
	if err != nil {
		writeError(w, r, err)
		return
	}
	writeJSON(w, r, http.StatusOK, map[string]string{"token": m.Secret, "expires_at": m.Expires.UTC().Format(time.RFC3339)})
}

// ask is what the exchange is asked for.
type ask struct {
	Token      string `json:"token"`
	Repository string `json:"repository"`
}

func readAsk(w http.ResponseWriter, r *http.Request, op string) (ask, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return ask{}, unreadable(op, err)
	}
	var a ask
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")) // "" if it cannot be read
	switch {
	case len(body) == 0:
	case kind == "application/x-www-form-urlencoded":
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		if err := r.ParseForm(); err != nil {
			return ask{}, unreadable(op, err)
		}
		a = ask{r.PostForm.Get("token"), r.PostForm.Get("repository")}
	default:
		if err := json.Unmarshal(body, &a); err != nil {
			return ask{}, unreadable(op, err)
		}
	}
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); a.Token == "" && ok && strings.EqualFold(scheme, "Bearer") {
		a.Token = strings.TrimSpace(token)
	}
	if a.Token == "" {
		return ask{}, registry.E(op, registry.ParameterInvalid, nil, `no ID token was sent: send {"token":"…"}`)
	}
	return a, nil
}

func unreadable(op string, err error) error {
	if _, long := errors.AsType[*http.MaxBytesError](err); long {
		return registry.E(op, registry.TooLarge, err, "the request body is longer than %d KiB", maxBody>>10)
	}
	return registry.E(op, registry.ParameterInvalid, err, `the request body cannot be read: send {"token":"…"} or a form`)
}

// serveBegin begins a log-in for a client that has no protocol of its own:
//
//	POST /-/login   {"client":"packhouse 1.4"}
//	201             {"login_url":…,"done_url":…,"secret":…,"expires_at":…}
//
// The client shows login_url to its user and asks at done_url.
func (s *Service) serveBegin(w http.ResponseWriter, r *http.Request) {
	const op = "oidc.begin"
	var asked struct {
		Client string `json:"client"`
	}
	caller := registry.CallerOf(r.Context())
	if err := readJSON(w, r, op, &asked); err != nil {
		writeError(w, r, err)
		return
	}
	if asked.Client == "" {
		asked.Client = caller.Client
	}
	p, err := s.Begin(r.Context(), asked.Client, caller.Address)
	if err != nil {
		writeError(w, r, err)
		return
	}
	page := s.LoginURL(s.cfg.Base(r), p.ID)
	writeJSON(w, r, http.StatusCreated, map[string]string{
		"login_url": page, "done_url": page + "/done", "secret": p.Secret, "expires_at": p.Expires.UTC().Format(time.RFC3339),
	})
}

// LoginURL is the page of a log-in that was begun; base is the URL by which the
// client reached the registry. Where people come back from a provider, it is
// the URL they come back to.
func (s *Service) LoginURL(base, id string) string {
	if s.cfg.People.Issuer != "" {
		base = s.cfg.External // one origin: the cookie must be there on the way back
	}
	return base + "/-/login/" + id
}

// serveDone answers a client that waits for a log-in:
//
//	POST /-/login/ID/done   {"secret":…}
//	202                     {}, with Retry-After: nobody said yes yet
//	200                     {"token":"pkh_…","expires_at":…}, once
func (s *Service) serveDone(w http.ResponseWriter, r *http.Request) {
	const op, again = "oidc.done", "2"
	var asked struct {
		Secret string `json:"secret"`
	}
	if err := readJSON(w, r, op, &asked); err != nil {
		writeError(w, r, err)
		return
	}
	m, waiting, err := s.Done(r.Context(), r.PathValue("id"), asked.Secret)
	switch {
	case err != nil:
		writeError(w, r, err)
	case waiting:
		w.Header().Set("Retry-After", again)
		writeJSON(w, r, http.StatusAccepted, struct{}{})
	default:
		writeJSON(w, r, http.StatusOK, map[string]string{"token": m.Secret, "expires_at": m.Expires.UTC().Format(time.RFC3339)})
	}
}

// readJSON reads an object of JSON, or none.
func readJSON(w http.ResponseWriter, r *http.Request, op string, v any) error {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(v)
	if err == nil || errors.Is(err, io.EOF) {
		return nil
	}
	return registry.E(op, registry.ParameterInvalid, err, "the request body is not the JSON object that is expected here")
}

func writeJSON(w http.ResponseWriter, r *http.Request, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError) // never: they are strings
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(append(body, '\n')) // the client is gone if it fails
	}
}

func writeError(w http.ResponseWriter, r *http.Request, err error) {
	e := registry.Public(err)
	status := e.Code.HTTPStatus()
	if after := e.RetryAfter(status); after != "" {
		w.Header().Set("Retry-After", after)
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("Www-Authenticate", `Bearer error="invalid_token"`)
	}
	writeJSON(w, r, status, map[string]string{"code": string(e.Code), "message": e.Message})
}
