package npm

import (
	"encoding/base64"
	"net/http"

	"github.com/packhouse/packhouse/artifacttypes"
)

// advisories answers the bulk question for known vulnerabilities: none are.
func advisories(w http.ResponseWriter, r *http.Request, _ artifacttypes.View) error {
	if err := skipBody(r); err != nil {
		return err
	}
	return artifacttypes.WriteJSON(w, r, http.StatusOK, struct{}{})
}

// audits answers the same question as npm 6 and Yarn 1 ask it.
func audits(w http.ResponseWriter, r *http.Request, _ artifacttypes.View) error {
	if err := skipBody(r); err != nil {
		return err
	}
	return artifacttypes.WriteJSON(w, r, http.StatusOK, map[string]any{
		"actions": []string{}, "advisories": struct{}{}, "muted": []string{},
		"metadata": map[string]any{
			"vulnerabilities": map[string]int{"info": 0, "low": 0, "moderate": 0, "high": 0, "critical": 0},
			"dependencies":    0, "devDependencies": 0, "optionalDependencies": 0, "totalDependencies": 0,
		},
	})
}

// keys answers with the keys that signatures in packuments are checked with.
func keys(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	const kind = "ecdsa-sha2-nistp256"
	type key struct {
		Expires *string `json:"expires"`
		ID      string  `json:"keyid"`
		Type    string  `json:"keytype"`
		Scheme  string  `json:"scheme"`
		Key     string  `json:"key"`
	}
	all, err := v.SigningKeys(r.Context())
	if err != nil {
		return err
	}
	list := make([]key, len(all))
	for i, k := range all {
		list[i] = key{ID: k.ID, Type: kind, Scheme: kind, Key: base64.StdEncoding.EncodeToString(k.SPKI)}
		if !k.Expires.IsZero() {
			until := stamp(k.Expires)
			list[i].Expires = &until
		}
	}
	return artifacttypes.WriteJSON(w, r, http.StatusOK, map[string]any{"keys": list})
}
