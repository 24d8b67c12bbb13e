package packages

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/packhouse/packhouse/conformance/rig"
)

// artifact is one release as a publisher has it: a package name, a version and files.
type artifact struct {
	pkg, version string
	repo, tag    string   // where it is by OCI
	files        []string // below the publisher's home
	mediaTypes   []string // of those, as somebody who knows nothing of Packhouse would name them
	layers       []string // more arguments of oras push
}

// ecosystem is one format with its own client.
type ecosystem struct {
	name         string
	artifactType string
	pack         func(t *testing.T, r *rig.Registry, version string) artifact
	publish      func(t *testing.T, r *rig.Registry, a artifact)
	// install installs by the format's own client from an empty home, and returns the files that arrived.
	install func(t *testing.T, r *rig.Registry, a artifact) map[string][]byte
	// titled tells whether a native publish names its files, without which `oras pull` has nothing to write.
	pull func(t *testing.T, r *rig.Registry, a artifact) map[string][]byte
}

func ecosystems() []ecosystem {
	return []ecosystem{npmEcosystem(), pypiEcosystem(), mavenEcosystem(), helmEcosystem(), helmOCIEcosystem(), genericEcosystem()}
}

// TestMatrix walks {format} × {native publish, oras push} × {native install, oras pull} × {cosign's commands}. Each
// pair of a publisher and an installer has a version of its own.
func TestMatrix(t *testing.T) {
	t.Parallel()
	for _, e := range ecosystems() {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			r := start(t)
			signer := rig.NewCosign(t, r)
			for i, publish := range []struct {
				name string
				how  func(t *testing.T, r *rig.Registry, a artifact)
			}{{"native publish", e.publish}, {"oras push", e.push}} {
				for j, install := range []struct {
					name string
					how  func(t *testing.T, r *rig.Registry, a artifact) map[string][]byte
				}{{"native install", e.install}, {"oras pull", e.pullFiles}} {
					t.Run(publish.name+"/"+install.name, func(t *testing.T) {
						a := e.pack(t, r, []string{"1.0.0", "1.1.0", "2.0.0", "2.1.0"}[2*i+j])
						publish.how(t, r, a)
						image := r.Host + "/" + a.repo + "@" + r.Whole(t, a.repo, a.tag).Digest
						t.Run("install", func(t *testing.T) { holds(t, install.how(t, r, a), a.contents(t, r)) })
						t.Run("sign", func(t *testing.T) { signer.Sign(t, image) })
						t.Run("verify", func(t *testing.T) { signer.Verify(t, image) })
						t.Run("attest", func(t *testing.T) { signer.Attest(t, image) })
						t.Run("verify-attestation", func(t *testing.T) { signer.VerifyAttestation(t, image) })
						t.Run("tree", func(t *testing.T) { signer.Tree(t, image) })
					})
				}
			}
		})
	}
}

// push pushes the files as somebody does who has oras and the name of the format: no configuration, general media types.
func (e ecosystem) push(t *testing.T, r *rig.Registry, a artifact) {
	t.Helper()
	args := []string{"push", "--artifact-type=" + e.artifactType, r.Host + "/" + a.repo + ":" + a.tag}
	args = append(args, a.layers...)
	for i, file := range a.files {
		// oras makes the title of the path that it is given: push from the file's own directory.
		staged := filepath.Join(r.Home, filepath.Base(file))
		if staged != filepath.Join(r.Home, file) {
			content := r.Read(t, file)
			if err := os.WriteFile(staged, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		args = append(args, filepath.Base(file)+":"+a.mediaTypes[i])
	}
	oras(t, r, args...)
}

func (e ecosystem) pullFiles(t *testing.T, r *rig.Registry, a artifact) map[string][]byte {
	t.Helper()
	if e.pull != nil {
		return e.pull(t, r, a)
	}
	return orasPull(t, r, a)
}

func orasPull(t *testing.T, r *rig.Registry, a artifact) map[string][]byte {
	t.Helper()
	dir := t.TempDir()
	oras(t, r, "pull", r.Host+"/"+a.repo+":"+a.tag, "-o", dir)
	return contents(t, dir)
}

// contents are the bytes of the files.
func (a artifact) contents(t *testing.T, r *rig.Registry) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, file := range a.files {
		files[filepath.Base(file)] = r.Read(t, file)
	}
	return files
}
