package pypi

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// redirectTo answers 301 with a path relative to the request's: whatever is
// between the client and here, it leads back here.
func redirectTo(relative string) func(http.ResponseWriter, *http.Request, artifacttypes.View) error {
	return func(w http.ResponseWriter, _ *http.Request, _ artifacttypes.View) error {
		w.Header().Set("Location", relative)
		w.WriteHeader(http.StatusMovedPermanently)
		return nil
	}
}

// servePage answers with a project's simple page.
func servePage(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	name, err := packageName(r)
	if err != nil {
		return err
	}
	if name != r.PathValue("pkg") {
		return redirectTo("../"+name+"/")(w, r, v)
	}
	return serveSimple(w, r, v, name, simpleJSON, simpleHTML)
}

func redirectPage(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	name, err := packageName(r)
	if err != nil {
		return err
	}
	return redirectTo(name+"/")(w, r, v)
}

func serveProjects(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	return serveSimple(w, r, v, "", projectsJSON, projectsHTML)
}

// serveSimple answers with one of two forms of a page.
func serveSimple(w http.ResponseWriter, r *http.Request, v artifacttypes.View, pkg, inJSON, inHTML string) error {
	w.Header().Add("Vary", "Accept")
	contentType, err := negotiate(r)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", contentType)
	document := inHTML
	if contentType == simpleJSONType {
		document = inJSON
	}
	err = v.Document(w, r, pkg, document)
	if pkg != "" && errors.Is(err, registry.NameUnknown) {
		return registry.E("pypi.serveSimple", registry.NameUnknown, err, "there is no project %s here", pkg)
	}
	return err
}

// serveFile answers with a distribution or what is beside it.
func serveFile(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	rel, err := release(r, v)
	if err != nil {
		return err
	}
	name := r.PathValue("file")
	w.Header().Set("Content-Type", contentTypeOf(name))
	if f, ok := rel.File(name); ok {
		return v.Serve(w, r, rel, f)
	}
	if wheel, ok := strings.CutSuffix(name, metadataSuffix); ok {
		if f, ok := rel.File(wheel); ok {
			return serveMetadata(w, r, f)
		}
	}
	return noFile(rel, name)
}

func noFile(rel *registry.Release, name string) error {
	return registry.E("pypi.serveFile", registry.NameUnknown, nil, "%s %s has no file %q", rel.Package, rel.Version, clip(name))
}

// serveMetadata answers with the METADATA of a wheel that no layer holds.
func serveMetadata(w http.ResponseWriter, r *http.Request, f registry.File) error {
	facts, err := factsOf(f)
	if err != nil {
		return err
	}
	if facts.Text == nil {
		return registry.E("pypi.serveMetadata", registry.NameUnknown, nil, "the metadata of %s is not kept beside it: read it from the file", f.Name)
	}
	text, err := facts.Text.unpack()
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("ETag", `"sha256:`+facts.MetadataSHA256+`"`)
	h.Set("Cache-Control", "private, max-age=31536000, immutable")
	h.Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(text))
	return nil
}

func contentTypeOf(name string) string {
	switch {
	case strings.HasSuffix(name, metadataSuffix):
		return "text/plain; charset=utf-8"
	case strings.HasSuffix(name, signatureSuffix):
		return signatureType
	}
	return "application/octet-stream" // whatever a client or a proxy knows, it leaves as it is
}

// release is the one that the path names, in any spelling. That of a
// quarantined project is none.
func release(r *http.Request, v artifacttypes.View) (*registry.Release, error) {
	name, err := packageName(r)
	if err != nil {
		return nil, err
	}
	version, ok := canonicalVersion(r.PathValue("version"))
	if !ok {
		return nil, registry.E("pypi.release", registry.NameUnknown, nil, "%q is not a version", clip(r.PathValue("version")))
	}
	rel, err := v.Release(r.Context(), name, version)
	if errors.Is(err, registry.NameUnknown) || errors.Is(err, registry.ManifestUnknown) {
		return nil, registry.E("pypi.release", registry.NameUnknown, err, "there is no %s %s here", name, version)
	}
	if err != nil {
		return nil, err
	}
	p, err := v.Package(r.Context(), name)
	if err != nil {
		return nil, err
	}
	if p.State[statusKey] == statusQuarantined {
		return nil, registry.E("pypi.release", registry.Denied, nil, "%s", statusSentence(p))
	}
	return rel, nil
}

// packageName is the project that the path names, canonical.
func packageName(r *http.Request) (string, error) {
	name, ok := canonicalName(r.PathValue("pkg"))
	if !ok {
		return "", registry.E("pypi.packageName", registry.NameUnknown, nil, "%q is not the name of a project", clip(r.PathValue("pkg")))
	}
	return name, nil
}

func serveLegacy(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	name, err := packageName(r)
	if err != nil {
		return err
	}
	return v.Document(w, r, name, legacyJSON)
}

// serveLegacyVersion answers with the legacy JSON of one release, which has
// its long description.
func serveLegacyVersion(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	rel, err := release(r, v)
	if err != nil {
		return err
	}
	files, err := distributions(rel)
	if err != nil {
		return err
	}
	var text string
	for _, d := range files {
		if d.Text == nil {
			continue
		}
		content, err := d.Text.unpack()
		if err != nil {
			return err
		}
		text = readme(content)
		break
	}
	var body bytes.Buffer
	err = writeJSON(&body, struct {
		Info            legacyInfo   `json:"info"`
		LastSerial      int          `json:"last_serial"`
		URLs            []legacyFile `json:"urls"`
		Vulnerabilities []struct{}   `json:"vulnerabilities"`
	}{legacyInfoOf(rel, text), 0, legacyFiles(rel, files), []struct{}{}})
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-cache")
	artifacttypes.WriteBody(w, r, http.StatusOK, "application/json", bytes.ReplaceAll(body.Bytes(), []byte(artifacttypes.Base), []byte(v.URL())))
	return nil
}
