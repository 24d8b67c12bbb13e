package server

import (
	"encoding/json"
	"net/http"

	"github.com/packhouse/packhouse/registry"
)

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
