package distspec

import (
	"net/http"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/transfer"
)

// manifestGet answers GET and HEAD. The manifest is served as it was pushed,
// whatever the client accepts: what else could be sent has another digest.
func (h *Handler) manifestGet(w http.ResponseWriter, r *http.Request, q Request) error {
	var m registry.Manifest
	var err error
	header := w.Header()
	if q.Digest != "" {
		m, err = h.reg.Manifest(r.Context(), q.Repo, q.Digest)
		header["Cache-Control"] = h.fixed.immutable
	} else {
		m, err = h.reg.Tagged(r.Context(), q.Repo, q.Tag)
		header["Cache-Control"] = h.fixed.noCache
	}
	if err != nil {
		return err
	}
	h.setCommon(header)
	etag := setDigest(header, m.Digest)
	if transfer.Unchanged(r.Header, etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	header["Content-Type"] = h.fixed.manifest(m.MediaType)
	setLength(header, int64(len(m.Raw)))
	w.WriteHeader(http.StatusOK)
	if q.Kind == ManifestGet {
		_, _ = w.Write(m.Raw) // fails when the client is gone, of which net/http takes care
	}
	return nil
}

func (h *Handler) manifestPut(w http.ResponseWriter, r *http.Request, q Request) error {
	cond, err := condition(r.Header)
	if err != nil {
		return err
	}
	raw, release, err := h.readManifest(w, r)
	if err != nil {
		return err
	}
	defer release()
	contentType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	m := registry.Manifest{Raw: raw, Descriptor: registry.Descriptor{
		MediaType: strings.TrimSpace(contentType), Digest: q.Digest, Size: int64(len(raw)),
	}}
	tags := q.Tags
	if q.Tag != "" {
		m.Digest = digest.FromBytes(raw)
		tags = append([]registry.Tag{q.Tag}, tags...)
	}
	slices.Sort(tags)
	tags = slices.Compact(tags)
	result, err := h.reg.PutManifest(r.Context(), q.Repo, m, registry.PutOptions{Tags: tags, If: cond})
	if err != nil {
		return err
	}
	header := w.Header()
	setDigest(header, result.Digest)
	h.setLocation(w, r, q.Repo, "/manifests/", string(result.Digest))
	if result.Subject != "" {
		header["Oci-Subject"] = []string{string(result.Subject)}
	}
	if len(q.Tags) > 0 {
		values := make([]string, len(tags))
		for i, t := range tags {
			values[i] = string(t)
		}
		header["Oci-Tag"] = values
	}
	h.writeEmpty(w, http.StatusCreated)
	return nil
}

func (h *Handler) manifestDelete(w http.ResponseWriter, r *http.Request, q Request) error {
	cond, err := condition(r.Header)
	if err != nil {
		return err
	}
	if q.Digest != "" {
		err = h.reg.DeleteManifest(r.Context(), q.Repo, q.Digest, cond)
	} else {
		err = h.reg.DeleteTag(r.Context(), q.Repo, q.Tag, cond)
	}
	if err != nil {
		return err
	}
	h.writeEmpty(w, http.StatusAccepted)
	return nil
}
