package npm

import (
	"net/http"

	"github.com/packhouse/packhouse/artifacttypes"
)

// visibility tells that whoever may read this answer may read the package.
func visibility(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	if err := known(r, v); err != nil {
		return err
	}
	return artifacttypes.WriteJSON(w, r, http.StatusOK, map[string]any{"public": true, "access": "public"})
}

func collaborators(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	if err := known(r, v); err != nil {
		return err
	}
	return artifacttypes.WriteJSON(w, r, http.StatusOK, map[string]string{anonymous: "write"})
}

// known returns NAME_UNKNOWN if the package of the URL does not exist.
func known(r *http.Request, v artifacttypes.View) error {
	name, err := packageName(r)
	if err != nil {
		return notFound(err)
	}
	_, err = v.Package(r.Context(), name)
	return absent(name, err)
}

// setAccess accepts what is the case anyway.
func setAccess(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	if err := known(r, v); err != nil {
		return err
	}
	var body struct {
		Access string `json:"access"`
		MFA    bool   `json:"publish_requires_tfa"`
	}
	if err := smallJSON(r, &body); err != nil {
		return err
	}
	if body.MFA || body.Access != "" && body.Access != "public" {
		return notOpen("cannot restrict one package")
	}
	return artifacttypes.WriteJSON(w, r, http.StatusOK, map[string]bool{"ok": true})
}

// packagesOf lists what a user may write: everything.
func packagesOf(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	const most = 10_000
	list := map[string]string{}
	for name, err := range v.Packages(r.Context(), "") {
		if err != nil {
			return err
		}
		if list[name] = "write"; len(list) == most {
			break
		}
	}
	return artifacttypes.WriteJSON(w, r, http.StatusOK, list)
}
