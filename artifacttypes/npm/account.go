package npm

import (
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// caller is the name of who asks. It returns UNAUTHORIZED for nobody.
func caller(r *http.Request, v artifacttypes.View) (string, error) {
	name := v.Account().Name(r.Context())
	if name == "" {
		return "", registry.E("npm.caller", registry.Unauthorized, nil, "you are not logged in: run npm login, or set _authToken")
	}
	return name, nil
}

func whoami(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	name, err := caller(r, v)
	if err != nil {
		return err
	}
	return artifacttypes.WriteJSON(w, r, http.StatusOK, map[string]string{"username": name})
}

// user answers with a user's public face, for whom `npm owner add` asks: the
// name, whoever has it.
func user(w http.ResponseWriter, r *http.Request, _ artifacttypes.View) error {
	name := r.PathValue("user")
	return artifacttypes.WriteJSON(w, r, http.StatusOK, map[string]any{
		"_id": userPrefix + name, "_rev": userRevision, "name": name, "email": "", "type": "user", "roles": []string{},
	})
}

func profile(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	name, err := caller(r, v)
	if err != nil {
		return err
	}
	return artifacttypes.WriteJSON(w, r, http.StatusOK, map[string]any{
		"name": name, "email": "", "email_verified": false, "fullname": "", "tfa": nil, "cidr_whitelist": nil,
	})
}

func setProfile(_ http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	if err := skipBody(r); err != nil {
		return err
	}
	name, err := caller(r, v)
	switch {
	case err != nil:
		return err
	case name == artifacttypes.Anonymous:
		return registry.E("npm.setProfile", registry.Denied, nil, "this registry is open to everybody and has no accounts, so there is no profile to change")
	}
	return registry.E("npm.setProfile", registry.Denied, nil, "npm can change nothing about an account here: packhouse user password --server URL sets a password")
}

// tokenAnswer is a token as npm lists it.
type tokenAnswer struct {
	Token    string   `json:"token"`
	Key      string   `json:"key"`
	Name     string   `json:"name,omitempty"`
	CIDR     []string `json:"cidr_whitelist"`
	Created  string   `json:"created"`
	Expires  string   `json:"expires,omitempty"`
	ReadOnly bool     `json:"readonly"`
}

func answerOf(t artifacttypes.Token) tokenAnswer {
	a := tokenAnswer{Token: t.Text, Key: t.ID, Name: t.Name, Created: stamp(t.Created), ReadOnly: t.ReadOnly}
	if !t.Expires.IsZero() {
		a.Expires = stamp(t.Expires)
	}
	return a
}

func listTokens(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	if _, err := caller(r, v); err != nil {
		return err
	}
	list, next, err := v.Account().Tokens(r.Context(), r.URL.Query().Get("after"))
	if err != nil {
		return err
	}
	objects, urls := make([]tokenAnswer, len(list)), map[string]string{}
	for i, t := range list {
		objects[i] = answerOf(t)
	}
	if next != "" {
		urls["next"] = v.URL() + "/-/npm/v1/tokens?after=" + url.QueryEscape(next)
	}
	w.Header().Set("Cache-Control", "no-store")
	return artifacttypes.WriteJSON(w, r, http.StatusOK, map[string]any{"objects": objects, "urls": urls})
}

// newToken is what `npm token create` asks for.
type newToken struct {
	Password    string   `json:"password"`
	Name        string   `json:"name"`
	ReadOnly    bool     `json:"readonly"`
	CIDR        []string `json:"cidr_whitelist"`
	Days        float64  `json:"expires"`
	Packages    []string `json:"packages"`
	Scopes      []string `json:"scopes"`
	Orgs        []string `json:"orgs"`
	Permission  string   `json:"packages_and_scopes_permission"`
	Permissions string   `json:"orgs_permission"`
}

// wanted returns MANIFEST_INVALID for a limit that would not hold: a token that
// may more than was asked for is no answer.
func (b newToken) wanted() (artifacttypes.NewToken, error) {
	const day, most = 24 * time.Hour, math.MaxInt64 / float64(24*time.Hour)
	t := artifacttypes.NewToken{Name: b.Name, ReadOnly: b.ReadOnly, Packages: b.Packages}
	switch b.Permission {
	case "", "read-write":
	case "read-only":
		t.ReadOnly = true
	default:
		return t, artifacttypes.Invalid("a token with the permission %q is of no use here: read-only or read-write", clip(b.Permission))
	}
	switch {
	case len(b.CIDR) > 0:
		return t, artifacttypes.Invalid("tokens of this registry are not bound to addresses: leave out --cidr")
	case len(b.Scopes) > 0 || len(b.Orgs) > 0 || b.Permissions != "":
		return t, artifacttypes.Invalid("npm can narrow a token of this registry to packages by --packages, not to scopes or organizations: packhouse token create --scope can")
	case b.Days < 0 || b.Days > most:
		return t, artifacttypes.Invalid("a token cannot expire in %s days", strconv.FormatFloat(b.Days, 'f', -1, 64))
	}
	t.Life = time.Duration(b.Days * float64(day))
	for _, name := range t.Packages {
		if err := parseName(name); err != nil {
			return t, err
		}
	}
	return t, nil
}

func createToken(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	if _, err := caller(r, v); err != nil {
		return err
	}
	var body newToken
	if err := smallJSON(r, &body); err != nil {
		return err
	}
	t, err := body.wanted()
	if err != nil {
		return err
	}
	made, err := v.Account().CreateToken(r.Context(), body.Password, t)
	if err != nil {
		return wrongPassword(w, err)
	}
	w.Header().Set("Cache-Control", "no-store")
	return artifacttypes.WriteJSON(w, r, http.StatusCreated, answerOf(made))
}

// dropToken takes away a token, by its id or the token itself.
func dropToken(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	if _, err := caller(r, v); err != nil {
		return err
	}
	if err := v.Account().RevokeToken(r.Context(), r.PathValue("key")); err != nil {
		return err
	}
	return artifacttypes.WriteJSON(w, r, http.StatusOK, map[string]bool{"ok": true})
}

// skipBody reads a body that says nothing of interest, so that the client is
// done sending before it is answered.
func skipBody(r *http.Request) error {
	_, err := io.Copy(io.Discard, io.LimitReader(r.Body, maxBody))
	return err
}
