package packages

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packhouse/packhouse/conformance/rig"
)

// TestCopy publishes one package of each format natively, signs it, copies every tag of every repository with its
// referrers by oras, and then installs natively from the other side and verifies the signatures there.
func TestCopy(t *testing.T) {
	t.Parallel()
	from := start(t)
	signer := rig.NewCosign(t, from)
	formats := map[string]ecosystem{}
	packed := map[string]artifact{}
	for _, e := range ecosystems() {
		version := "1.0.0"
		if e.name == "helm by OCI" {
			version = "1.0.1" // in the same repository
		}
		a := e.pack(t, from, version)
		e.publish(t, from, a)
		signer.Sign(t, from.Host+"/"+a.repo+"@"+from.Whole(t, a.repo, a.tag).Digest)
		signer.Attest(t, from.Host+"/"+a.repo+"@"+from.Whole(t, a.repo, a.tag).Digest)
		formats[e.name], packed[e.name] = e, a
	}
	for _, way := range []struct {
		name string
		copy func(t *testing.T, from, to *rig.Registry, repo, tag string)
	}{
		{"straight", func(t *testing.T, from, to *rig.Registry, repo, tag string) {
			t.Helper()
			orasCopy(t, from, from.Host+"/"+repo+":"+tag, to.Host+"/"+repo+":"+tag)
		}},
		{"through an OCI layout", func(t *testing.T, from, to *rig.Registry, repo, tag string) {
			t.Helper()
			layout := filepath.Join(from.Home, "layout", repo) + ":" + tag
			orasCopy(t, from, from.Host+"/"+repo+":"+tag, layout, "--to-oci-layout")
			orasCopy(t, from, layout, to.Host+"/"+repo+":"+tag, "--from-oci-layout")
		}},
		{"through distribution", func() func(t *testing.T, from, to *rig.Registry, repo, tag string) {
			host := rig.Distribution(t)
			return func(t *testing.T, from, to *rig.Registry, repo, tag string) {
				t.Helper()
				orasCopy(t, from, from.Host+"/"+repo+":"+tag, host+"/"+repo+":"+tag)
				orasCopy(t, from, host+"/"+repo+":"+tag, to.Host+"/"+repo+":"+tag)
			}
		}()},
	} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			to := start(t)
			for _, repo := range repositories(t, from) {
				for _, tag := range tags(t, from, repo) {
					way.copy(t, from, to, repo, tag)
				}
			}
			for name, e := range formats {
				a := packed[name]
				t.Run(name, func(t *testing.T) {
					rig.Equal(t, "digest", to.Whole(t, a.repo, a.tag).Digest, from.Whole(t, a.repo, a.tag).Digest)
					holds(t, e.install(t, to, a), a.contents(t, from))
					image := to.Host + "/" + a.repo + "@" + to.Whole(t, a.repo, a.tag).Digest
					signer.Verify(t, image)
					signer.VerifyAttestation(t, image)
				})
			}
		})
	}
}

// orasCopy copies with referrers. A layout takes no transport.
func orasCopy(t *testing.T, r *rig.Registry, from, to string, flags ...string) {
	t.Helper()
	path, _ := rig.Tool(t, "oras")
	args := []string{path, "cp", "-r", from, to, "--from-plain-http", "--to-plain-http"}
	r.Run(t, append(args, flags...)...)
}

func repositories(t *testing.T, r *rig.Registry) []string {
	t.Helper()
	list := rig.Decode[struct{ Repositories []string }](t, string(get(t, r, "/v2/_catalog"))).Repositories
	if len(list) < 5 {
		t.Fatalf("the catalogue has %q, want a repository for each format", list)
	}
	return list
}

// tags are a repository's, without those that oras and cosign make for referrers.
func tags(t *testing.T, r *rig.Registry, repo string) []string {
	t.Helper()
	body, _ := ask(t, r, http.MethodGet, "/v2/"+repo+"/tags/list", nil, nil, http.StatusOK)
	var list []string
	for _, tag := range rig.Decode[struct{ Tags []string }](t, string(body)).Tags {
		if !strings.HasPrefix(tag, "sha256-") {
			list = append(list, tag)
		}
	}
	return list
}
