package distspec

import (
	"net/http"
	"strconv"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/transfer"
)

// fixedValues are header values that never change, made once: a response's
// header map gets them by assignment, as its keys are in canonical form here.
// Nobody may write to them.
type fixedValues struct {
	apiVersion, nosniff, zero []string
	immutable, public         []string
	noCache                   []string
	json, octetStream         []string
	manifests                 map[string][]string // by media type, of those pulled most
}

func newFixedValues() fixedValues {
	f := fixedValues{
		apiVersion:  []string{"registry/2.0"},
		nosniff:     []string{"nosniff"},
		zero:        []string{"0"},
		immutable:   []string{transfer.PrivateForever},
		public:      []string{transfer.PublicForever},
		noCache:     []string{"no-cache"},
		json:        []string{"application/json"},
		octetStream: []string{"application/octet-stream"},
		manifests:   map[string][]string{},
	}
	for _, t := range []string{
		ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex,
		registry.MediaTypeDockerManifest, registry.MediaTypeDockerList,
	} {
		f.manifests[t] = []string{t}
	}
	return f
}

// manifest returns the Content-Type of a manifest.
func (f *fixedValues) manifest(mediaType string) []string {
	if v := f.manifests[mediaType]; v != nil {
		return v
	}
	return []string{mediaType}
}

// setCommon sets what every response has. Docker looks for the version.
func (h *Handler) setCommon(header http.Header) {
	header["Docker-Distribution-Api-Version"] = h.fixed.apiVersion
	header["X-Content-Type-Options"] = h.fixed.nosniff
}

// setDigest sets Docker-Content-Digest and ETag to d, and returns the entity tag.
func setDigest(header http.Header, d registry.Digest) string {
	etag := `"` + string(d) + `"`
	values := []string{etag[1 : len(etag)-1], etag}
	header["Docker-Content-Digest"] = values[0:1:1]
	header["Etag"] = values[1:2:2]
	return etag
}

func setLength(header http.Header, n int64) {
	header["Content-Length"] = []string{strconv.FormatInt(n, 10)}
}

// setLocation sets Location to the URL of what repo has as last.
func (h *Handler) setLocation(w http.ResponseWriter, r *http.Request, repo registry.Repo, endpoint, last string) {
	w.Header()["Location"] = []string{h.baseURL(r) + "/v2/" + string(repo) + endpoint + last}
}

// writeJSON writes a whole body. Failing to write means that the client is
// gone, of which net/http takes care.
func (h *Handler) writeJSON(w http.ResponseWriter, status int, contentType []string, body []byte) {
	header := w.Header()
	h.setCommon(header)
	header["Content-Type"] = contentType
	setLength(header, int64(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// writeEmpty writes a status without body.
func (h *Handler) writeEmpty(w http.ResponseWriter, status int) {
	header := w.Header()
	h.setCommon(header)
	if status != http.StatusNoContent {
		header["Content-Length"] = h.fixed.zero
	}
	w.WriteHeader(status)
}
