package npm

import (
	"net/http"
	"strings"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// visibility tells whether everybody may read the package.
func visibility(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	name, err := known(r, v)
	if err != nil {
		return err
	}
	public, access := v.Account().Public(r.Context(), name), "restricted"
	if public {
		access = "public"
	}
	return artifacttypes.WriteJSON(w, r, http.StatusOK, map[string]any{"public": public, "access": access})
}

// collaborators tells what the caller may do; who else may what is not told.
func collaborators(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	name, err := known(r, v)
	if err != nil {
		return err
	}
	list := map[string]string{}
	if caller := v.Account().Name(r.Context()); caller != "" {
		list[caller] = permission(r, v, name)
	}
	return artifacttypes.WriteJSON(w, r, http.StatusOK, list)
}

// permission is what the caller may do to a package that it may read.
func permission(r *http.Request, v artifacttypes.View, name string) string {
	if v.Account().MayWrite(r.Context(), name) {
		return "write"
	}
	return "read"
}

// known returns the package of the URL. It returns NAME_UNKNOWN if there is
// none.
func known(r *http.Request, v artifacttypes.View) (string, error) {
	name, err := packageName(r)
	if err != nil {
		return "", notFound(err)
	}
	_, err = v.Package(r.Context(), name)
	return name, absent(name, err)
}

// setAccess answers `npm access set status`, and mfa, which is not asked here.
func setAccess(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	if err := allowed(r, v, registry.Create); err != nil {
		return err
	}
	name, err := known(r, v)
	if err != nil {
		return err
	}
	var body struct {
		Access string `json:"access"`
		MFA    bool   `json:"publish_requires_tfa"`
	}
	if err := smallJSON(r, &body); err != nil {
		return err
	}
	switch {
	case body.MFA:
		return registry.E("npm.setAccess", registry.Denied, nil, "this registry asks for no second factor: give out tokens that may publish this package alone")
	case body.Access == "public", body.Access == "restricted", body.Access == "private":
		err = v.Account().SetPublic(r.Context(), name, body.Access == "public")
	case body.Access != "":
		err = artifacttypes.Invalid("the access %q is neither public nor restricted", clip(body.Access))
	}
	if err != nil {
		return err
	}
	return artifacttypes.WriteJSON(w, r, http.StatusOK, map[string]bool{"ok": true})
}

// scopePackages lists the packages of a scope, which npm calls an organization,
// with what the caller may do to them. It returns NAME_UNKNOWN for none, at
// which npm asks for a user of that name.
func scopePackages(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	scope := "@" + strings.TrimPrefix(r.PathValue("owner"), "@") + "/"
	list, err := packages(r, v, scope)
	if err == nil && len(list) == 0 {
		err = registry.E("npm.scopePackages", registry.NameUnknown, nil, "there is no package of the scope %s", clip(scope))
	}
	if err != nil {
		return err
	}
	return artifacttypes.WriteJSON(w, r, http.StatusOK, list)
}

// userPackages lists the packages that the caller may read, with what else it
// may; of another user nothing is told.
func userPackages(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	name, err := caller(r, v)
	if err != nil {
		return err
	}
	if owner := r.PathValue("owner"); owner != name && name != artifacttypes.Anonymous {
		return registry.E("npm.userPackages", registry.NameUnknown, nil, "this registry tells users about their own access only, and you are %s", name)
	}
	list, err := packages(r, v, "")
	if err != nil {
		return err
	}
	return artifacttypes.WriteJSON(w, r, http.StatusOK, list)
}

// packages lists those whose names start with prefix.
func packages(r *http.Request, v artifacttypes.View, prefix string) (map[string]string, error) {
	const most = 10_000
	list := map[string]string{}
	for name, err := range v.Packages(r.Context(), prefix) {
		if err != nil {
			return nil, err
		}
		if !strings.HasPrefix(name, prefix) || len(list) == most {
			break
		}
		list[name] = permission(r, v, name)
	}
	return list, nil
}
