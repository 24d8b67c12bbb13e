package npm

import (
	"io"
	"net/http"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// An open registry knows one user, and its token grants nothing that a request
// without it is not granted. Clients refuse to publish without one, so whoever
// logs in gets it.
const (
	anonymous = "anonymous"
	openToken = "open"
)

const (
	userPrefix   = "org.couchdb.user:"
	userRevision = "1-0"
)

func whoami(w http.ResponseWriter, r *http.Request, _ artifacttypes.View) error {
	return artifacttypes.WriteJSON(w, r, http.StatusOK, map[string]string{"username": anonymous})
}

func ping(w http.ResponseWriter, r *http.Request, _ artifacttypes.View) error {
	return artifacttypes.WriteJSON(w, r, http.StatusOK, map[string]string{})
}

// user answers with a user's public face, for whom `npm owner add` asks.
func user(w http.ResponseWriter, r *http.Request, _ artifacttypes.View) error {
	name := r.PathValue("user")
	return artifacttypes.WriteJSON(w, r, http.StatusOK, map[string]any{
		"_id": userPrefix + name, "_rev": userRevision, "name": name, "email": "", "type": "user", "roles": []string{},
	})
}

// login is the one of old, `npm login --auth-type=legacy`, and adduser.
func login(w http.ResponseWriter, r *http.Request, _ artifacttypes.View) error {
	if err := skipBody(r); err != nil {
		return err
	}
	return artifacttypes.WriteJSON(w, r, http.StatusCreated, map[string]any{
		"ok": true, "id": userPrefix + r.PathValue("user"), "rev": userRevision, "token": openToken,
	})
}

// webLogin names the page to log in at and where to wait for it.
func webLogin(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	if err := skipBody(r); err != nil {
		return err
	}
	return artifacttypes.WriteJSON(w, r, http.StatusOK, map[string]string{
		"loginUrl": v.URL() + "/-/v1/login", "doneUrl": v.URL() + "/-/v1/done",
	})
}

func loginPage(w http.ResponseWriter, r *http.Request, _ artifacttypes.View) error {
	artifacttypes.WriteBody(w, r, http.StatusOK, "text/plain; charset=utf-8", []byte("This registry is open to everybody: you are logged in.\n"))
	return nil
}

func loginDone(w http.ResponseWriter, r *http.Request, _ artifacttypes.View) error {
	return artifacttypes.WriteJSON(w, r, http.StatusOK, map[string]string{"token": openToken})
}

// done answers what has nothing to do: logging out, removing a token.
func done(w http.ResponseWriter, r *http.Request, _ artifacttypes.View) error {
	return artifacttypes.WriteJSON(w, r, http.StatusOK, map[string]bool{"ok": true})
}

func profile(w http.ResponseWriter, r *http.Request, _ artifacttypes.View) error {
	return artifacttypes.WriteJSON(w, r, http.StatusOK, map[string]any{
		"name": anonymous, "email": "", "email_verified": false, "fullname": "", "tfa": nil, "cidr_whitelist": nil,
	})
}

func setProfile(_ http.ResponseWriter, r *http.Request, _ artifacttypes.View) error {
	if err := skipBody(r); err != nil {
		return err
	}
	return notOpen("has no accounts, so there is no profile to change")
}

func listTokens(w http.ResponseWriter, r *http.Request, _ artifacttypes.View) error {
	return artifacttypes.WriteJSON(w, r, http.StatusOK, map[string]any{"objects": []string{}, "urls": map[string]string{}})
}

func createToken(_ http.ResponseWriter, r *http.Request, _ artifacttypes.View) error {
	if err := skipBody(r); err != nil {
		return err
	}
	return notOpen("asks nobody for a token: any will do")
}

// notOpen refuses what an open registry has no use for.
func notOpen(why string) error {
	return registry.E("npm.account", registry.Denied, nil, "this registry is open to everybody and %s", why)
}

// skipBody reads a body that says nothing of interest, so that the client is
// done sending before it is answered.
func skipBody(r *http.Request) error {
	_, err := io.Copy(io.Discard, io.LimitReader(r.Body, maxBody))
	return err
}
