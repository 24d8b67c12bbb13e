package server

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/feed"
)

const ociNamePath = "/-/api/v1/oci-name"

// ociName tells under which OCI reference a package lies, or would lie:
// ?namespace=acme&format=npm&name=@acme/widget&version=1.0.0
func (h *handler) ociName(w http.ResponseWriter, r *http.Request, base string) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		writeAPI(w, r, http.StatusMethodNotAllowed, problem{registry.Unsupported, "this URL takes GET or HEAD"})
		return
	}
	q := r.URL.Query()
	ref, err := h.feeds.Locate(q.Get("namespace"), q.Get("format"), q.Get("name"), q.Get("version"))
	if err != nil {
		e := registry.Public(err)
		writeAPI(w, r, e.Code.HTTPStatus(), problem{e.Code, e.Message})
		return
	}
	_, host, _ := strings.Cut(base, "://")
	writeAPI(w, r, http.StatusOK, struct {
		feed.Reference
		Whole string `json:"reference"`
	}{ref, host + "/" + ref.String()})
}

// problem is the body of an API error.
type problem struct {
	Code    registry.Code `json:"code"`
	Message string        `json:"message"`
}

func writeAPI(w http.ResponseWriter, r *http.Request, status int, v any) {
	body, _ := json.Marshal(v) // of strings alone
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(append(body, '\n')) // fails when the client is gone
	}
}
