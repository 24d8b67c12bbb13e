package clients

import (
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/packhouse/packhouse/conformance/rig"
)

const (
	cycloneDX  = `{"bomFormat":"CycloneDX","specVersion":"1.6","version":1,"components":[]}`
	bundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"
)

// cosigner is one cosign with a key pair, an image in the registry and the files its commands read.
type cosigner struct {
	*registry
	path  string
	image string // by digest: what is signed must not move
	other string // a second image, never signed
	repo  string
}

func newCosigner(t *testing.T, r *registry, path, repo string) cosigner {
	t.Helper()
	r.Env = append(r.Env, "COSIGN_PASSWORD=secret")
	crane, _ := rig.Tool(t, "crane")
	refs := map[string]string{}
	for _, name := range []string{"signed", "unsigned"} {
		layout, dgst := r.layout(t, name, "amd64")
		r.Run(t, crane, "push", layout, r.Host+"/"+repo+":"+name)
		refs[name] = r.Host + "/" + repo + "@" + dgst
	}
	r.File(t, "slsa.json", []byte(rig.SLSAProvenance))
	r.File(t, "bom.json", []byte(cycloneDX))
	r.File(t, "signing-config.json", []byte(rig.SigningConfig))
	r.File(t, "trusted-root.json", []byte(rig.TrustedRoot))
	r.Run(t, path, "generate-key-pair", "--output-key-prefix", "key")
	r.Run(t, path, "generate-key-pair", "--output-key-prefix", "stranger")
	return cosigner{registry: r, path: path, image: refs["signed"], other: refs["unsigned"], repo: repo}
}

func (c cosigner) cosign(t *testing.T, args ...string) string {
	t.Helper()
	return c.Run(t, append([]string{c.path}, args...)...)
}

// tag is where cosign keeps what it does not attach as a referrer.
func (c cosigner) tag(suffix string) string {
	dgst := digest.Digest(c.image[len(c.Host+"/"+c.repo+"@"):])
	return "sha256-" + dgst.Encoded() + suffix
}

func (c cosigner) referrers(t *testing.T, artifactType string) int {
	t.Helper()
	_, body := c.Do(t, "GET", "/v2/"+c.repo+"/referrers/"+c.image[len(c.Host+"/"+c.repo+"@"):], nil, nil)
	n := 0
	for _, d := range rig.Decode[orasList](t, string(body)).Manifests {
		c.Whole(t, c.repo, d.Digest)
		if d.ArtifactType == artifactType {
			n++
		}
	}
	return n
}

func TestCosign2(t *testing.T) {
	t.Parallel()
	path, version := rig.Tool(t, "cosign2")
	overHTTPAndTLS(t, "cosign", version, func(t *testing.T, r *registry) {
		c := newCosigner(t, r, path, "cosign/two")
		t.Run("sign and verify with a key pair", func(t *testing.T) {
			c.cosign(t, "sign", "--yes", "--key=key.key", "--tlog-upload=false", c.image)
			c.cosign(t, "verify", "--key=key.pub", "--insecure-ignore-tlog", c.image)
			c.Whole(t, c.repo, c.tag(".sig"))
			c.Refuse(t, path, "verify", "--key=stranger.pub", "--insecure-ignore-tlog", c.image)
			c.Refuse(t, path, "verify", "--key=key.pub", "--insecure-ignore-tlog", c.other)
		})
		t.Run("two signers of one image", func(t *testing.T) {
			c.cosign(t, "sign", "--yes", "--key=stranger.key", "--tlog-upload=false", c.image)
			rig.Equal(t, "layers of the signature manifest", len(c.Whole(t, c.repo, c.tag(".sig")).Layers), 2)
			c.cosign(t, "verify", "--key=stranger.pub", "--insecure-ignore-tlog", c.image)
		})
		t.Run("attest and verify-attestation", func(t *testing.T) {
			c.cosign(t, "attest", "--yes", "--key=key.key", "--tlog-upload=false", "--type=slsaprovenance1", "--predicate=slsa.json", c.image)
			c.cosign(t, "attest", "--yes", "--key=key.key", "--tlog-upload=false", "--type=cyclonedx", "--predicate=bom.json", c.image)
			c.cosign(t, "verify-attestation", "--key=key.pub", "--insecure-ignore-tlog", "--type=slsaprovenance1", c.image)
			c.cosign(t, "verify-attestation", "--key=key.pub", "--insecure-ignore-tlog", "--type=cyclonedx", c.image)
			rig.Equal(t, "layers of the attestation manifest", len(c.Whole(t, c.repo, c.tag(".att")).Layers), 2)
		})
		t.Run("attach sbom and download it", func(t *testing.T) {
			c.cosign(t, "attach", "sbom", "--sbom=bom.json", "--type=cyclonedx", c.image)
			rig.Contains(t, c.cosign(t, "download", "sbom", c.image), cycloneDX)
		})
		t.Run("tree", func(t *testing.T) {
			rig.Contains(t, c.cosign(t, "tree", c.image), c.tag(".sig"), c.tag(".att"), c.tag(".sbom"))
		})
		t.Run("copy with signatures", func(t *testing.T) {
			c.cosign(t, "copy", c.image, c.Host+"/cosign/copied:v1")
			c.cosign(t, "verify", "--key=key.pub", "--insecure-ignore-tlog", c.Host+"/cosign/copied:v1")
		})
		t.Run("sign and verify as an OCI 1.1 referrer", func(t *testing.T) {
			c.Env = append(c.Env, "COSIGN_EXPERIMENTAL=1")
			c.cosign(t, "sign", "--yes", "--key=key.key", "--tlog-upload=false", "--registry-referrers-mode=oci-1-1", c.image)
			c.cosign(t, "verify", "--experimental-oci11", "--key=key.pub", "--insecure-ignore-tlog", c.image)
			rig.Equal(t, "referrers", c.referrers(t, "application/vnd.dev.cosign.artifact.sig.v1+json"), 1)
		})
		t.Run("clean", func(t *testing.T) {
			c.cosign(t, "clean", "--force", c.image)
			c.Gone(t, "/v2/"+c.repo+"/manifests/"+c.tag(".sig"))
		})
		t.Run("sign and verify in the bundle format", func(t *testing.T) {
			c.cosign(t, "sign", "--yes", "--key=key.key", "--tlog-upload=false", "--new-bundle-format", c.image)
			c.cosign(t, "verify", "--new-bundle-format", "--trusted-root=trusted-root.json", "--key=key.pub", "--insecure-ignore-tlog", c.image)
			rig.Equal(t, "bundles", c.referrers(t, bundleType), 1)
		})
	})
}

func TestCosign3(t *testing.T) {
	t.Parallel()
	path, version := rig.Tool(t, "cosign3")
	overHTTPAndTLS(t, "cosign", version, func(t *testing.T, r *registry) {
		c := newCosigner(t, r, path, "cosign/three")
		offline := []string{"--yes", "--key=key.key", "--signing-config=signing-config.json", "--trusted-root=trusted-root.json"}
		t.Run("sign and verify with a key pair", func(t *testing.T) {
			c.cosign(t, append(append([]string{"sign"}, offline...), "-a", "team=core", c.image)...)
			c.cosign(t, "verify", "--key=key.pub", "--insecure-ignore-tlog", "-a", "team=core", c.image)
			rig.Equal(t, "bundles", c.referrers(t, bundleType), 1)
			c.Refuse(t, path, "verify", "--key=stranger.pub", "--insecure-ignore-tlog", c.image)
			c.Refuse(t, path, "verify", "--key=key.pub", "--insecure-ignore-tlog", c.other)
		})
		t.Run("attest and verify-attestation", func(t *testing.T) {
			c.cosign(t, append(append([]string{"attest"}, offline...), "--type=slsaprovenance1", "--predicate=slsa.json", c.image)...)
			c.cosign(t, "verify-attestation", "--key=key.pub", "--insecure-ignore-tlog", "--type=slsaprovenance1", c.image)
			rig.Equal(t, "bundles", c.referrers(t, bundleType), 2)
		})
		t.Run("tree", func(t *testing.T) {
			rig.Contains(t, c.cosign(t, "tree", c.image), "https://sigstore.dev/cosign/sign/v1", "https://slsa.dev/provenance/v1")
		})
		t.Run("copied by oras with its bundles", func(t *testing.T) {
			oras, _ := rig.Tool(t, "oras")
			flags := []string{"--from-plain-http", "--to-plain-http"}
			if r.TLS() {
				flags = []string{"--from-ca-file", r.CACert, "--to-ca-file", r.CACert}
			}
			r.Run(t, append([]string{oras, "copy", "-r", c.image, r.Host + "/cosign/moved:v1"}, flags...)...)
			c.cosign(t, "verify", "--key=key.pub", "--insecure-ignore-tlog", r.Host+"/cosign/moved:v1")
		})
		t.Run("sign and verify in the legacy format", func(t *testing.T) {
			legacy := []string{"sign", "--yes", "--key=key.key", "--use-signing-config=false", "--tlog-upload=false", "--new-bundle-format=false"}
			c.cosign(t, append(legacy, c.other)...)
			c.cosign(t, "verify", "--key=key.pub", "--insecure-ignore-tlog", "--new-bundle-format=false", c.other)
		})
	})
}
