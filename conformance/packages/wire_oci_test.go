package packages

import (
	"testing"

	"github.com/packhouse/packhouse/conformance/rig"
)

// TestOCIWire is formats.md part F, line 10. Repositories called blobs, tags and manifests are in TestNPMWire, cosign's
// referrers in TestMatrix, charts from either side in TestHelm.
func TestOCIWire(t *testing.T) {
	t.Parallel()
	for _, e := range ecosystems() {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			r := start(t)
			a := e.pack(t, r, "3.0.0")
			e.push(t, r, a)
			first := r.Whole(t, a.repo, a.tag).Digest
			// oras writes the time into the manifest: the same files make another one, which is accepted.
			e.push(t, r, a)
			if r.Whole(t, a.repo, a.tag).Digest == "" || r.Whole(t, a.repo, first).Digest != first {
				t.Error("the first manifest is gone")
			}
			holds(t, e.install(t, r, a), a.contents(t, r))
			path, _ := rig.Tool(t, "oras")
			r.File(t, "other.bin", []byte("not a package"))
			out := r.Refuse(t, path, "push", "--plain-http", "--artifact-type=application/vnd.acme.other.v1", r.Host+"/"+a.repo+":3.1.0", "other.bin:application/octet-stream")
			rig.Contains(t, out, "manifest invalid", "takes manifests of artifact type")
			// A referrer that is no signature: notation's, by its artifact type.
			oras(t, r, "attach", "--artifact-type=application/vnd.cncf.notary.signature", r.Host+"/"+a.repo+":"+a.tag, "other.bin:application/jose+json")
			rig.Contains(t, oras(t, r, "discover", r.Host+"/"+a.repo+":"+a.tag, "--format=json"), "application/vnd.cncf.notary.signature")
		})
	}
}
