package rig

import "testing"

// Files that cosign reads, so that it asks no service on the internet.
const (
	SLSAProvenance = `{"buildDefinition":{"buildType":"https://acme.example/build/v1","externalParameters":{}},` +
		`"runDetails":{"builder":{"id":"https://acme.example/builder"}}}`
	SigningConfig = `{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json","rekorTlogConfig":{},"tsaConfig":{}}`
	TrustedRoot   = `{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`
)

// Cosign is a cosign 3 with a key pair.
type Cosign struct {
	*Registry
	path string
}

// NewCosign makes a key pair in r.Home.
func NewCosign(t *testing.T, r *Registry) *Cosign {
	t.Helper()
	path, _ := Tool(t, "cosign3")
	c := &Cosign{Registry: r, path: path}
	c.Env = append(c.Env, "COSIGN_PASSWORD=secret")
	c.File(t, "slsa.json", []byte(SLSAProvenance))
	c.File(t, "signing-config.json", []byte(SigningConfig))
	c.File(t, "trusted-root.json", []byte(TrustedRoot))
	c.Run(t, path, "generate-key-pair", "--output-key-prefix", "key")
	return c
}

// Each reads or writes what is signed by digest: it must not move meanwhile.

// Sign signs image.
func (c *Cosign) Sign(t *testing.T, image string) {
	t.Helper()
	c.Run(t, c.path, "sign", "--yes", "--key=key.key", "--signing-config=signing-config.json", "--trusted-root=trusted-root.json", image)
}

// Verify verifies that image was signed.
func (c *Cosign) Verify(t *testing.T, image string) {
	t.Helper()
	c.Run(t, c.path, "verify", "--key=key.pub", "--insecure-ignore-tlog", image)
}

// Attest attaches a signed provenance to image.
func (c *Cosign) Attest(t *testing.T, image string) {
	t.Helper()
	c.Run(t, c.path, "attest", "--yes", "--key=key.key", "--signing-config=signing-config.json", "--trusted-root=trusted-root.json",
		"--type=slsaprovenance1", "--predicate=slsa.json", image)
}

// VerifyAttestation verifies the provenance of image.
func (c *Cosign) VerifyAttestation(t *testing.T, image string) {
	t.Helper()
	c.Run(t, c.path, "verify-attestation", "--key=key.pub", "--insecure-ignore-tlog", "--type=slsaprovenance1", image)
}

// Tree checks that the signature and the provenance of image are listed.
func (c *Cosign) Tree(t *testing.T, image string) {
	t.Helper()
	Contains(t, c.Run(t, c.path, "tree", image), "https://sigstore.dev/cosign/sign/v1", "https://slsa.dev/provenance/v1")
}
