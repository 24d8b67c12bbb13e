package distspec

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/packhouse/packhouse/registry"
)

// maxReferrers is the largest response in bytes, unless one descriptor alone
// is larger: clients read manifests of this size.
const maxReferrers = 4 << 20

// referrers writes one page as an OCI index.
func (h *Handler) referrers(w http.ResponseWriter, r *http.Request, q Request) error {
	n := h.pageSize
	if q.N >= 0 {
		n = min(n, q.N)
	}
	const open = `{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageIndex + `","manifests":[`
	var b bytes.Buffer
	b.WriteString(open)
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	var last registry.Digest
	count, more := 0, false
	for d, err := range h.reg.Referrers(r.Context(), q.Repo, q.Digest, q.ArtifactType, registry.Digest(q.Last)) {
		if err != nil {
			return err
		}
		if more = count == n; more {
			break
		}
		before := b.Len()
		if count > 0 {
			b.WriteByte(',')
		}
		if err := enc.Encode(d); err != nil {
			return err
		}
		b.Truncate(b.Len() - 1) // the encoder's newline
		if more = count > 0 && b.Len()+len(closing) > maxReferrers; more {
			b.Truncate(before)
			break
		}
		last = d.Digest
		count++
	}
	b.WriteString(closing)
	header := w.Header()
	header["Cache-Control"] = h.fixed.noCache
	if q.ArtifactType != "" {
		header["Oci-Filters-Applied"] = []string{"artifactType"}
	}
	if more && n > 0 {
		query := url.Values{"n": {strconv.Itoa(n)}, "last": {string(last)}}
		if q.ArtifactType != "" {
			query.Set("artifactType", q.ArtifactType)
		}
		h.setNext(w, r, "/v2/"+string(q.Repo)+"/referrers/"+string(q.Digest), query)
	}
	h.writeJSON(w, http.StatusOK, h.fixed.manifest(ocispec.MediaTypeImageIndex), b.Bytes())
	return nil
}
