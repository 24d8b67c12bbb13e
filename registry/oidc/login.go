package oidc

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/auth"
	"github.com/packhouse/packhouse/storage/meta"
)

const (
	// maxBody bounds what is sent to any of the handlers.
	maxBody = 64 << 10
	// secureCookie is bound to the host and to https by its name, RFC 6265bis
	// section 4.1.3.2; plainCookie serves http, on this machine.
	secureCookie = "__Host-packhouse-login"
	plainCookie  = "packhouse-login"
	cookieSize   = 43 // 256 bits in base64
)

// servePage shows who asks to log in, and how.
func (s *Service) servePage(w http.ResponseWriter, r *http.Request) {
	l, err := s.pending(r.Context(), "oidc.page", r.PathValue("id"))
	if err != nil {
		s.pages.fail(w, r, err)
		return
	}
	browser := s.browser(r)
	if browser == "" {
		browser = random(32)
		s.setCookie(w, r, browser)
	}
	s.pages.write(w, r, http.StatusOK, s.form(l, browser))
}

func (s *Service) form(l meta.Login, browser string) page {
	p := page{
		Title: "Log in", Form: true, Client: l.Client, Address: l.Address,
		Action: "/-/login/" + l.ID, Token: formToken(browser, l.ID),
	}
	if u, err := url.Parse(s.cfg.People.Issuer); err == nil && u.Host != "" {
		p.ProviderHost = u.Host
		p.Provider = "/-/login/" + l.ID + "/provider?" + url.Values{"token": {p.Token}}.Encode()
	}
	return p
}

// servePassword says yes for who types a user's name and password.
func (s *Service) servePassword(w http.ResponseWriter, r *http.Request) {
	l, err := s.pending(r.Context(), "oidc.password", r.PathValue("id"))
	if err != nil {
		s.pages.fail(w, r, err)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		s.pages.fail(w, r, registry.E("oidc.password", registry.ParameterInvalid, err, "the form cannot be read: open the page again"))
		return
	}
	browser := s.browser(r)
	if err := s.sameSite(r, browser, l.ID, r.PostForm.Get("token")); err != nil {
		s.pages.fail(w, r, err)
		return
	}
	user := r.PostForm.Get("user")
	id, err := s.byPassword(r.Context(), l, user, r.PostForm.Get("password"), registry.CallerOf(r.Context()).Address)
	if err != nil {
		e := registry.Public(err)
		status := pageStatus(e)
		if after := e.RetryAfter(status); after != "" {
			w.Header().Set("Retry-After", after)
		}
		again := s.form(l, browser)
		again.Problem = sentence(e.Message)
		if auth.LegalName(user) { // not a secret in the wrong field
			again.User = user
		}
		s.pages.write(w, r, status, again)
		return
	}
	s.allowed(w, r, l, id.Name)
}

// allowed ends a log-in.
func (s *Service) allowed(w http.ResponseWriter, r *http.Request, l meta.Login, user string) {
	s.pages.write(w, r, http.StatusOK, page{
		Title: "Logged in", Text: l.Client + " at " + l.Address + " may act as " + user + " now. Close this page and go back to it.",
	})
}

// serveProvider leads the browser to the provider. It is a link, not a form:
// browsers hold redirects of a form to the page's form-action, too.
func (s *Service) serveProvider(w http.ResponseWriter, r *http.Request) {
	const op = "oidc.provider"
	if s.cfg.People.Issuer == "" {
		s.pages.fail(w, r, registry.E(op, registry.NameUnknown, nil, "there is no provider to log in by: use a password"))
		return
	}
	l, err := s.pending(r.Context(), op, r.PathValue("id"))
	if err != nil {
		s.pages.fail(w, r, err)
		return
	}
	browser := s.browser(r)
	err = s.sameSite(r, browser, l.ID, r.URL.Query().Get("token"))
	to := ""
	if err == nil {
		to, err = s.send(r.Context(), l, browser)
	}
	if err != nil {
		s.pages.fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// serveCallback takes whom the provider sends back.
func (s *Service) serveCallback(w http.ResponseWriter, r *http.Request) {
	if s.cfg.People.Issuer == "" {
		s.pages.fail(w, r, errOver("oidc.callback"))
		return
	}
	l, who, err := s.come(r.Context(), r.URL.Query(), s.browser(r), registry.CallerOf(r.Context()).Address)
	if err != nil {
		s.pages.fail(w, r, err)
		return
	}
	s.allowed(w, r, l, who.Name)
}

// sameSite refuses what another site made the browser send: the page's token
// belongs to the browser's cookie and to one log-in, and what browsers say of
// where a request comes from must not speak against it.
func (s *Service) sameSite(r *http.Request, browser, id, token string) error {
	refused := registry.E("oidc.sameSite", registry.Denied, nil, "this was not sent by the page of this log-in: open the page again, with cookies allowed")
	if browser == "" || !hmac.Equal([]byte(token), []byte(formToken(browser, id))) {
		return refused
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		return refused
	}
	if origin := r.Header.Get("Origin"); origin != "" && origin != s.cfg.Base(r) {
		return refused
	}
	return nil
}

// formToken binds a form to a browser and to a log-in.
func formToken(browser, id string) string {
	m := hmac.New(sha256.New, []byte(browser))
	_, _ = m.Write([]byte("packhouse login " + id)) // never fails
	return hex.EncodeToString(m.Sum(nil))
}

func (s *Service) cookieName(r *http.Request) (name string, secure bool) {
	if strings.HasPrefix(s.cfg.Base(r), "https://") {
		return secureCookie, true
	}
	return plainCookie, false
}

// browser is the cookie that tells browsers apart, "" for none.
func (s *Service) browser(r *http.Request) string {
	name, _ := s.cookieName(r)
	c, err := r.Cookie(name)
	if errors.Is(err, http.ErrNoCookie) || len(c.Value) != cookieSize {
		return ""
	}
	return c.Value
}

func (s *Service) setCookie(w http.ResponseWriter, r *http.Request, value string) {
	name, secure := s.cookieName(r)
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // not Secure on http, where browsers would drop it
		Name: name, Value: value, Path: "/", MaxAge: int(pendingTTL.Seconds()), HttpOnly: true, Secure: secure,
		SameSite: http.SameSiteLaxMode, // the provider's answer comes from another site
	})
}
