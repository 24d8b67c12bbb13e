package maven

import (
	"crypto/md5"  //nolint:gosec // what the protocol's clients compare
	"crypto/sha1" //nolint:gosec // what the protocol's clients compare
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// absent tells whether err says that what was asked for is not there.
func absent(err error) bool {
	return errors.Is(err, registry.NameUnknown) || errors.Is(err, registry.ManifestUnknown) || errors.Is(err, registry.NameInvalid)
}

func notFound(p place) error {
	what := strings.Join(p.dir, "/")
	if p.file != "" {
		what += "/" + p.file
	}
	return registry.E("maven.get", registry.ManifestUnknown, nil, "%s is not in this repository", clip(what))
}

// digestOf is one checksum of text, in hex.
func digestOf(algorithm string, text []byte) string {
	switch algorithm {
	case "md5":
		sum := md5.Sum(text) //nolint:gosec // see the import
		return hex.EncodeToString(sum[:])
	case "sha1":
		sum := sha1.Sum(text) //nolint:gosec // see the import
		return hex.EncodeToString(sum[:])
	case "sha512":
		sum := sha512.Sum512(text)
		return hex.EncodeToString(sum[:])
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// setSums saves newer clients the requests for .sha1 and .md5.
func setSums(h http.Header, sum func(algorithm string) string) {
	h.Set("X-Checksum-Sha1", sum("sha1"))
	h.Set("X-Checksum-Md5", sum("md5"))
	h.Set("X-Checksum-Sha256", sum("sha256"))
}

// writeGenerated answers with a document that changes with what is stored.
func writeGenerated(w http.ResponseWriter, r *http.Request, contentType string, body []byte) error {
	h := w.Header()
	setSums(h, func(algorithm string) string { return digestOf(algorithm, body) })
	etag := `"` + h.Get("X-Checksum-Sha256") + `"`
	h.Set("ETag", etag)
	h.Set("Cache-Control", "no-cache")
	for _, field := range r.Header.Values("If-None-Match") {
		if strings.Contains(field, etag) || strings.TrimSpace(field) == "*" {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	artifacttypes.WriteBody(w, r, http.StatusOK, contentType, body)
	return nil
}

// writeSum answers with a checksum: bare hex, as clients expect it.
func writeSum(w http.ResponseWriter, r *http.Request, sum string) error {
	w.Header().Set("Cache-Control", "no-cache")
	artifacttypes.WriteBody(w, r, http.StatusOK, "text/plain", []byte(sum))
	return nil
}

func writeProblem(w http.ResponseWriter, r *http.Request, status int, detail string) {
	body, err := json.Marshal(struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail,omitempty"`
	}{"about:blank", http.StatusText(status), status, detail})
	if err != nil {
		body = []byte("{}") // cannot be: strings and a number
	}
	artifacttypes.WriteBody(w, r, status, "application/problem+json", append(body, '\n'))
}
