package npm

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// bundlePrefix is how the media types of all versions of Sigstore bundles begin.
const bundlePrefix = "application/vnd.dev.sigstore.bundle"

// bundle is as much of a Sigstore bundle as says what it is about.
type bundle struct {
	MediaType    string `json:"mediaType"`
	DSSEEnvelope struct {
		Payload string `json:"payload"` // base64
	} `json:"dsseEnvelope"`
}

// statement is an in-toto statement.
type statement struct {
	PredicateType string `json:"predicateType"`
	Subject       []struct {
		Name   string            `json:"name"`
		Digest map[string]string `json:"digest"`
	} `json:"subject"`
}

// openBundle returns the bundle's media type without parameters and its statement.
// It returns MANIFEST_INVALID.
func openBundle(text []byte) (mediaType string, s statement, err error) {
	var b bundle
	if err := json.Unmarshal(text, &b); err != nil {
		return "", s, artifacttypes.Invalid("the provenance is not a Sigstore bundle in JSON")
	}
	mediaType, _, _ = strings.Cut(b.MediaType, ";")
	payload, err := base64.StdEncoding.DecodeString(b.DSSEEnvelope.Payload)
	if err != nil || len(payload) == 0 || !strings.HasPrefix(mediaType, bundlePrefix) {
		return "", s, artifacttypes.Invalid("the provenance is not a Sigstore bundle with a DSSE envelope")
	}
	if err := json.Unmarshal(payload, &s); err != nil {
		return "", s, artifacttypes.Invalid("the provenance bundle does not hold an in-toto statement")
	}
	return mediaType, s, nil
}

// about checks that the statement is about one tarball and nothing else.
func (s statement) about(name, version, sha512 string) error {
	if len(s.Subject) != 1 {
		return artifacttypes.Invalid("the provenance is about %d subjects: want the package alone", len(s.Subject))
	}
	if want, got := purl(name, version), s.Subject[0].Name; got != want {
		return artifacttypes.Invalid("the provenance is about %q, not about %s", clip(got), want)
	}
	if got := s.Subject[0].Digest["sha512"]; !strings.EqualFold(got, sha512) {
		return artifacttypes.Invalid("the provenance is about a tarball whose SHA-512 is %q, not about this one", clip(got))
	}
	return nil
}

// provenance checks that the bundle is about this one tarball, and makes a
// referrer of it. Its signature is for those to check who install the package.
func provenance(name, version, sha512 string, text []byte) (artifacttypes.Referrer, string, error) {
	none := artifacttypes.Referrer{}
	mediaType, s, err := openBundle(text)
	if err != nil {
		return none, "", err
	}
	if err := s.about(name, version, sha512); err != nil {
		return none, "", err
	}
	if s.PredicateType == "" {
		return none, "", artifacttypes.Invalid("the provenance statement has no predicateType")
	}
	return artifacttypes.Referrer{
		ArtifactType: mediaType, MediaType: mediaType,
		Title:   baseName(name) + "-" + version + provenanceSuffix,
		Content: text,
		Annotations: map[string]string{ // as cosign lists bundles
			"dev.sigstore.bundle.content":       "dsse-envelope",
			"dev.sigstore.bundle.predicateType": s.PredicateType,
		},
	}, s.PredicateType, nil
}

// attestations answers with the bundles that refer to a version and are about
// its tarball. Clients refuse a package for a bundle about anything else, such
// as its manifest, which is what OCI clients sign.
func attestations(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	name, version, ok := cutVersion(joined(r, "spec"))
	if !ok {
		return registry.E("npm.attestations", registry.NameUnknown, nil, "want the package and its version: NAME@VERSION")
	}
	rel, err := release(r.Context(), v, name, version)
	if err != nil {
		return err
	}
	refs, err := v.Referrers(r.Context(), rel.Package, rel.Version, "")
	if err != nil {
		return err
	}
	type attestation struct {
		PredicateType string          `json:"predicateType"`
		Bundle        json.RawMessage `json:"bundle"`
	}
	list := []attestation{}
	for _, ref := range refs {
		text, err := bundleOf(r.Context(), v, rel, ref)
		if err != nil {
			return err
		}
		if _, s, err := openBundle(text); err == nil && len(rel.Files) == 1 && s.about(rel.Package, rel.Version, rel.Files[0].Facts.Sums["sha512"]) == nil {
			list = append(list, attestation{s.PredicateType, text})
		}
	}
	if len(list) == 0 {
		return registry.E("npm.attestations", registry.ManifestUnknown, nil, "%s@%s has no attestations", rel.Package, rel.Version)
	}
	return artifacttypes.WriteJSON(w, r, http.StatusOK, map[string]any{"attestations": list})
}

// bundleOf is the Sigstore bundle in a referrer, nil if there is none.
func bundleOf(ctx context.Context, v artifacttypes.View, rel *registry.Release, ref registry.Manifest) ([]byte, error) {
	layer, ok := bundleLayer(ref.Raw)
	if !ok {
		return nil, nil
	}
	body, err := v.Blob(ctx, rel, layer)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(body, maxMetadata))
	return text, errors.Join(err, body.Close())
}

// bundleLayer finds the one layer of a manifest, if that is a Sigstore bundle.
func bundleLayer(manifest []byte) (registry.Digest, bool) {
	var m ocispec.Manifest
	ok := json.Unmarshal(manifest, &m) == nil && len(m.Layers) == 1 && strings.HasPrefix(m.Layers[0].MediaType, bundlePrefix)
	if !ok {
		return "", false
	}
	return m.Layers[0].Digest, true
}
