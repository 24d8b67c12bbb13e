package npm

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

const (
	userPrefix   = "org.couchdb.user:"
	userRevision = "1-0"
)

func ping(w http.ResponseWriter, r *http.Request, _ artifacttypes.View) error {
	return artifacttypes.WriteJSON(w, r, http.StatusOK, map[string]string{})
}

// login is the one of old, `npm login --auth-type=legacy`, and adduser, which
// adds nobody.
func login(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	user := r.PathValue("user")
	var body struct {
		Name     string `json:"name"`
		Password string `json:"password"`
	}
	if err := smallJSON(r, &body); err != nil {
		return err
	}
	if body.Name != "" && body.Name != user {
		return artifacttypes.Invalid("the URL says that the user is %q, but the request body says %q", clip(user), clip(body.Name))
	}
	token, err := v.Account().Login(r.Context(), user, body.Password)
	if err != nil {
		return wrongPassword(w, err)
	}
	return artifacttypes.WriteJSON(w, r, http.StatusCreated, map[string]any{
		"ok": true, "id": userPrefix + user, "rev": userRevision, "token": token,
	})
}

// wrongPassword has npm say of UNAUTHORIZED that it is the password that is
// wrong.
func wrongPassword(w http.ResponseWriter, err error) error {
	if errors.Is(err, registry.Unauthorized) {
		w.Header().Set("WWW-Authenticate", artifacttypes.Challenge)
	}
	return err
}

// webLogin names the page to log in at and where to wait for it.
func webLogin(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	if err := skipBody(r); err != nil {
		return err
	}
	begun, err := v.Account().WebLogin(r.Context(), "npm")
	if err != nil {
		return err
	}
	page, done := begun.Page, v.URL()+"/-/v1/done"
	if page == "" {
		page = v.URL() + "/-/v1/login"
	}
	if begun.ID != "" {
		done += "?" + url.Values{"id": {begun.ID}, "secret": {begun.Secret}}.Encode()
	}
	return artifacttypes.WriteJSON(w, r, http.StatusOK, map[string]string{"loginUrl": page, "doneUrl": done})
}

// loginPage is what a registry shows where nothing is to be done.
func loginPage(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	if v.Account().Name(r.Context()) != artifacttypes.Anonymous {
		return registry.E("npm.loginPage", registry.NameUnknown, nil, "there is no page here to log in at: run npm login, which shows where it is")
	}
	artifacttypes.WriteBody(w, r, http.StatusOK, "text/plain; charset=utf-8", []byte("This registry is open to everybody: you are logged in.\n"))
	return nil
}

// loginDone answers a client that waits for a log-in by the page.
func loginDone(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	q := r.URL.Query()
	w.Header().Set("Cache-Control", "no-store")
	token, waiting, err := v.Account().WebDone(r.Context(), q.Get("id"), q.Get("secret"))
	switch {
	case err != nil:
		return err
	case waiting:
		const seconds = "2"
		w.Header().Set("Retry-After", seconds)
		return artifacttypes.WriteJSON(w, r, http.StatusAccepted, struct{}{})
	}
	return artifacttypes.WriteJSON(w, r, http.StatusOK, map[string]string{"token": token})
}

// exchange gives a CI job that shows its ID token another one, to publish one
// package with.
func exchange(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	name, err := packageName(r)
	if err != nil {
		return err
	}
	if err := skipBody(r); err != nil {
		return err
	}
	scheme, idToken, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || idToken == "" {
		return registry.E("npm.exchange", registry.Unauthorized, nil, "show the ID token of the CI job as Authorization: Bearer")
	}
	base, err := url.Parse(v.URL())
	if err != nil {
		return err
	}
	// npm asks for the name alone; a registry's port is part of where it is.
	audiences := []string{"npm:" + base.Hostname(), "npm:" + base.Host}
	token, err := v.Account().Exchange(r.Context(), strings.TrimSpace(idToken), audiences, name)
	if err != nil {
		return err
	}
	return artifacttypes.WriteJSON(w, r, http.StatusCreated, map[string]string{"token": token})
}
