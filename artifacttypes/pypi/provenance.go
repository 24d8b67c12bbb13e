package pypi

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

const integrityType = "application/vnd.pypi.integrity.v1+json"

// provenance is PEP 740's provenance object.
type provenance struct {
	Version int      `json:"version"`
	Bundles []bundle `json:"attestation_bundles"`
}

type bundle struct {
	Publisher    publisher         `json:"publisher"`
	Attestations []json.RawMessage `json:"attestations"`
}

// publisher is whose attestations a bundle has. This registry does not know
// who uploaded by which trusted publisher: it repeats the certificate.
type publisher struct {
	Kind   string          `json:"kind"`
	Claims publisherClaims `json:"claims"`
}

type publisherClaims struct {
	Subject string `json:"subject"`
}

// serveProvenance answers with a file's attestations, however they came here.
func serveProvenance(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	rel, err := release(r, v)
	if err != nil {
		return err
	}
	name := r.PathValue("file")
	f, ok := rel.File(name)
	if !ok {
		return noFile(rel, name)
	}
	facts, err := factsOf(f)
	if err != nil {
		return err
	}
	found, err := attestations(r.Context(), v, rel, &subject{name, sha256Of(f), facts})
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return registry.E("pypi.serveProvenance", registry.NameUnknown, nil, "%s has no attestations", name)
	}
	p := provenance{Version: 1}
	for _, a := range found {
		i := slices.IndexFunc(p.Bundles, func(b bundle) bool { return b.Publisher.Claims.Subject == a.signer })
		if i < 0 {
			i = len(p.Bundles)
			p.Bundles = append(p.Bundles, bundle{Publisher: publisher{"certificate", publisherClaims{a.signer}}})
		}
		p.Bundles[i].Attestations = append(p.Bundles[i].Attestations, a.raw)
	}
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-cache")
	artifacttypes.WriteBody(w, r, http.StatusOK, integrityType, body)
	return nil
}

// attestations returns those among the release's referrers that hold for s,
// each once, in a fixed order. Anybody who may push may attach others.
func attestations(ctx context.Context, v artifacttypes.View, rel *registry.Release, s *subject) ([]verified, error) {
	manifests, err := v.Referrers(ctx, rel.Package, rel.Version, attestationType)
	if err != nil {
		return nil, err
	}
	var found []verified
	for _, m := range manifests {
		var parsed ocispec.Manifest
		if json.Unmarshal(m.Raw, &parsed) != nil || len(parsed.Layers) != 1 || parsed.Annotations[registry.AnnotationFile] != s.file {
			continue
		}
		raw, err := content(ctx, v, rel, parsed.Layers[0])
		if err != nil {
			return nil, err
		}
		if a, err := s.verify(raw); err == nil {
			found = append(found, a)
		}
	}
	order := func(a, b verified) int {
		return cmp.Or(cmp.Compare(a.predicate, b.predicate), slices.Compare(a.raw, b.raw))
	}
	slices.SortFunc(found, order)
	return slices.CompactFunc(found, func(a, b verified) bool { return order(a, b) == 0 }), nil
}

// content reads a referrer's layer, nothing of one that is too large.
func content(ctx context.Context, v artifacttypes.View, rel *registry.Release, layer registry.Descriptor) (raw []byte, err error) {
	if layer.Size > maxAttestations {
		return nil, nil
	}
	body, err := v.Blob(ctx, rel, layer.Digest)
	if err != nil {
		return nil, err
	}
	defer func() { err = cmp.Or(err, body.Close()) }()
	return io.ReadAll(io.LimitReader(body, maxAttestations))
}
