package helm

import (
	"errors"
	"net/http"
	"strings"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

func serveIndex(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	return v.Document(w, r, "", indexDocument)
}

// download serves an archive or a provenance by its file name.
func download(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	file, wantsProv := strings.CutSuffix(r.PathValue("file"), provSuffix)
	candidates := splits(file)
	if name := r.PathValue("name"); name != "" {
		version, ok := strings.CutPrefix(strings.TrimSuffix(file, chartSuffix), name+"-")
		candidates = nil
		if ok && strings.HasSuffix(file, chartSuffix) {
			candidates = []place{{name, version}}
		}
	}
	for _, p := range candidates {
		rel, err := v.Release(r.Context(), p.name, p.version)
		if errors.Is(err, registry.NameUnknown) || errors.Is(err, registry.ManifestUnknown) || errors.Is(err, registry.NameInvalid) {
			continue
		}
		if err != nil {
			return err
		}
		return serveFile(w, r, v, rel, wantsProv)
	}
	return registry.E("helm.download", registry.BlobUnknown, nil, "there is no %s in %s", r.PathValue("file"), v.Feed().Name())
}

func serveFile(w http.ResponseWriter, r *http.Request, v artifacttypes.View, rel *registry.Release, wantsProv bool) error {
	contentType := "application/gzip"
	f, ok := archiveOf(rel)
	if wantsProv {
		contentType = "application/pgp-signature"
		f, ok = provenanceOf(rel)
	}
	if !ok {
		return registry.E("helm.download", registry.BlobUnknown, nil, "%s %s has no provenance", rel.Package, rel.Version)
	}
	w.Header().Set("Content-Type", contentType)
	return v.Serve(w, r, rel, f)
}

// serveInfo is where ChartMuseum tells its version.
func serveInfo(w http.ResponseWriter, r *http.Request, _ artifacttypes.View) error {
	return artifacttypes.WriteJSON(w, r, http.StatusOK, map[string]string{"version": "packhouse"})
}

func serveHealth(w http.ResponseWriter, r *http.Request, _ artifacttypes.View) error {
	return artifacttypes.WriteJSON(w, r, http.StatusOK, map[string]bool{"healthy": true})
}
