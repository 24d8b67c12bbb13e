package npm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// joined is a path value that names a package: clients write the slash behind
// a scope as it is or as %2f, so it may come in two parts.
func joined(r *http.Request, name string) string {
	if scope := r.PathValue("scope"); scope != "" {
		return scope + "/" + r.PathValue(name)
	}
	return r.PathValue(name)
}

// packageName is the package that the URL names.
func packageName(r *http.Request) (string, error) {
	name := joined(r, "pkg")
	return name, parseName(name)
}

// allowed decides whether the caller may do verb to the package that the URL
// names, whether there is one or not.
func allowed(r *http.Request, v artifacttypes.View, verb registry.Verb) error {
	name, err := packageName(r)
	if err != nil {
		return notFound(err)
	}
	return v.Account().Allow(r.Context(), verb, name)
}

// cutVersion cuts "name@version".
func cutVersion(spec string) (name, version string, ok bool) {
	at := strings.LastIndexByte(spec, '@')
	if at <= 0 {
		return "", "", false
	}
	return spec[:at], spec[at+1:], true
}

// document answers with the packument. A path of two segments is that of a
// scoped package, or of one version of a package.
func document(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	name := joined(r, "pkg")
	if scope := r.PathValue("scope"); scope != "" && (scope[0] != '@' || strings.Contains(scope, "/")) {
		return oneVersion(w, r, v, scope, r.PathValue("pkg"))
	}
	if err := parseName(name); err != nil {
		return notFound(err)
	}
	w.Header().Add("Vary", "Accept")
	kind := full
	if wantsAbbreviated(r.Header.Values("Accept")) {
		kind = abbreviated
	}
	return absent(name, v.Document(w, r, name, kind))
}

// absent says of a package that is not there what it is called here.
func absent(name string, err error) error {
	if errors.Is(err, registry.NameUnknown) {
		return registry.E("npm.absent", registry.NameUnknown, err, "%s is not in this registry", name)
	}
	return err
}

// notFound turns a name that no package can have into one that none has.
func notFound(err error) error {
	return registry.E("npm.document", registry.NameUnknown, err, "%s", sentence(err))
}

// wantsAbbreviated tells whether the abbreviated packument is asked for, and
// not less than the whole one.
func wantsAbbreviated(accept []string) bool {
	short, whole := 0.0, 0.0
	for part := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		mediaType, parameters, _ := strings.Cut(part, ";")
		q := 1.0
		for p := range strings.SplitSeq(parameters, ";") {
			if value, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(p)), "q="); ok {
				if n, err := strconv.ParseFloat(value, 64); err == nil {
					q = n
				}
			}
		}
		switch strings.ToLower(strings.TrimSpace(mediaType)) {
		case abbreviatedType:
			short = max(short, q)
		case "application/json":
			whole = max(whole, q)
		}
	}
	return short > 0 && short >= whole
}

// versionDocument answers with one version: of a scoped package.
func versionDocument(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	return oneVersion(w, r, v, joined(r, "pkg"), r.PathValue("version"))
}

// oneVersion answers with what the packument has of one version, which may be
// named by a dist-tag.
func oneVersion(w http.ResponseWriter, r *http.Request, v artifacttypes.View, name, version string) error {
	rel, err := release(r.Context(), v, name, version)
	if err != nil {
		return err
	}
	var body bytes.Buffer
	if err := (Format{}).Fragment(full, rel, &body); err != nil {
		return err
	}
	text := bytes.ReplaceAll(body.Bytes(), []byte(artifacttypes.Base), []byte(v.URL()))
	sum := sha256.Sum256(text)
	etag := `"` + hex.EncodeToString(sum[:]) + `"`
	w.Header().Set("ETag", etag)
	w.Header().Set("Cache-Control", "no-cache")
	if strings.Contains(r.Header.Get("If-None-Match"), etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	artifacttypes.WriteBody(w, r, http.StatusOK, "application/json", text)
	return nil
}

// release finds a version by its name or by a dist-tag. It returns
// NAME_UNKNOWN, MANIFEST_UNKNOWN.
func release(ctx context.Context, v artifacttypes.View, name, version string) (*registry.Release, error) {
	if err := parseName(name); err != nil {
		return nil, notFound(err)
	}
	c, err := canonical(version)
	if err != nil {
		tags, err := tagsOf(ctx, v, name)
		if err != nil {
			return nil, err
		}
		if c = tags[version]; c == "" {
			return nil, registry.E("npm.release", registry.ManifestUnknown, nil, "%s has no version or dist-tag %q", name, clip(version))
		}
	}
	rel, err := v.Release(ctx, name, c)
	if errors.Is(err, registry.ManifestUnknown) {
		return nil, registry.E("npm.release", registry.ManifestUnknown, err, "%s has no version %s", name, c)
	}
	return rel, absent(name, err)
}

// tarball answers with a version's tarball.
func tarball(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	name, err := packageName(r)
	if err != nil {
		return notFound(err)
	}
	version, ok := versionOf(name, r.PathValue("file"))
	if !ok {
		return registry.E("npm.tarball", registry.ManifestUnknown, nil, "%s has no file %q", name, clip(r.PathValue("file")))
	}
	rel, err := release(r.Context(), v, name, version)
	if err != nil {
		return err
	}
	if len(rel.Files) != 1 {
		return registry.E("npm.tarball", registry.ManifestUnknown, nil, "%s@%s has no tarball", name, version)
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	return v.Serve(w, r, rel, rel.Files[0])
}

// versionOf is the canonical version in a tarball's name, which may have the
// scope before it.
func versionOf(name, file string) (string, bool) {
	file = file[strings.LastIndexByte(file, '/')+1:]
	rest, ok := strings.CutPrefix(file, baseName(name)+"-")
	rest, suffixed := strings.CutSuffix(rest, ".tgz")
	version, err := canonical(rest)
	return version, ok && suffixed && err == nil
}
