package packages

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/packhouse/packhouse/conformance/rig"
)

// curl runs curl; failures of HTTP are failures of the command.
func curl(t *testing.T, r *rig.Registry, args ...string) string {
	t.Helper()
	return r.Run(t, append([]string{"curl", "--silent", "--show-error", "--fail-with-body"}, args...)...)
}

func curlClient(t *testing.T) client {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "curl", "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	return client{"generic", "curl", regexp.MustCompile(`\d+\.\d+\.\d+`).FindString(string(out))}
}

func TestGeneric(t *testing.T) {
	t.Parallel()
	t.Run("HTTP", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		c := curlClient(t)
		url := feed(r, "generic")
		content := bytes.Repeat([]byte("a generic file\n"), 1<<17)
		other := bytes.Repeat([]byte("another file\n"), 1<<17)
		r.File(t, "tool.bin", content)
		r.File(t, "other.bin", other)
		c.use(t, "-T, and what was uploaded comes back", func(t *testing.T) {
			curl(t, r, "-T", "tool.bin", url+"/tool/1.0/bin/tool.bin")
			curl(t, r, "-T", "other.bin", url+"/tool/1.0/other.bin")
			curl(t, r, "-o", "back", url+"/tool/1.0/bin/tool.bin")
			holds(t, map[string][]byte{"back": r.Read(t, "back")}, map[string][]byte{"tool.bin": content})
		})
		c.use(t, "-T again is accepted, other bytes are refused", func(t *testing.T) {
			curl(t, r, "-T", "tool.bin", url+"/tool/1.0/bin/tool.bin")
			out := r.Refuse(t, "curl", "--silent", "--show-error", "--fail-with-body", "-T", "other.bin", url+"/tool/1.0/bin/tool.bin")
			rig.Contains(t, out, "409")
		})
		c.use(t, "-C - resumes a download", func(t *testing.T) {
			r.File(t, "part", content[:1000])
			curl(t, r, "-C", "-", "-o", "part", url+"/tool/1.0/bin/tool.bin")
			holds(t, map[string][]byte{"part": r.Read(t, "part")}, map[string][]byte{"tool.bin": content})
		})
		c.use(t, "lists in JSON and HTML", func(t *testing.T) {
			rig.Contains(t, curl(t, r, url+"/tool/1.0/"), `"bin/tool.bin"`, sum(content))
			rig.Contains(t, curl(t, r, "-H", "Accept: text/html", url+"/tool/1.0/"), "<a href=", "tool.bin")
			rig.Contains(t, curl(t, r, url+"/tool/"), `"1.0"`)
			rig.Contains(t, curl(t, r, url+"/"), `"tool"`)
		})
		c.use(t, "If-None-Match: * creates only", func(t *testing.T) {
			curl(t, r, "-H", "If-None-Match: *", "-T", "tool.bin", url+"/tool/1.1/tool.bin")
			out := r.Refuse(t, "curl", "--silent", "--show-error", "--fail-with-body", "-H", "If-None-Match: *", "-T", "other.bin", url+"/tool/1.1/tool.bin")
			rig.Contains(t, out, "412")
		})
		c.use(t, "checksum headers are verified and answered", func(t *testing.T) {
			s := sha1.Sum(content)
			curl(t, r, "-H", "X-Checksum-Sha1: "+hex.EncodeToString(s[:]), "-H", "X-Checksum-Sha256: "+sum(content), "-T", "tool.bin", url+"/sums/1/tool.bin")
			r.Refuse(t, "curl", "--silent", "--show-error", "--fail-with-body", "-H", "X-Checksum-Sha256: "+sum(other), "-T", "tool.bin", url+"/sums/2/tool.bin")
			r.Gone(t, "/"+namespace+"/generic/sums/2/tool.bin")
			_, header := ask(t, r, http.MethodHead, "/"+namespace+"/generic/sums/1/tool.bin", nil, nil, http.StatusOK)
			rig.Equal(t, "Docker-Content-Digest", header.Get("Docker-Content-Digest"), "sha256:"+sum(content))
		})
		c.use(t, "-X DELETE", func(t *testing.T) {
			curl(t, r, "-X", "DELETE", url+"/tool/1.1")
			r.Gone(t, "/"+namespace+"/generic/tool/1.1/tool.bin")
			r.Refuse(t, "curl", "--silent", "--show-error", "--fail-with-body", "-T", "other.bin", url+"/tool/1.1/tool.bin")
		})
		c.use(t, "-T and -O over TLS", func(t *testing.T) {
			secure := startTLS(t)
			secure.File(t, "tool.bin", content)
			curl(t, secure, "--cacert", secure.CACert, "-T", "tool.bin", feed(secure, "generic")+"/tool/1.0/tool.bin")
			curl(t, secure, "--cacert", secure.CACert, "-o", "back", feed(secure, "generic")+"/tool/1.0/tool.bin")
			holds(t, map[string][]byte{"back": secure.Read(t, "back")}, map[string][]byte{"tool.bin": content})
		})
	})
}

func genericEcosystem() ecosystem {
	return ecosystem{
		name: "generic", artifactType: "application/vnd.packhouse.generic.v1",
		pack: func(t *testing.T, r *rig.Registry, version string) artifact {
			t.Helper()
			file := "widget-" + version + ".bin"
			r.File(t, file, bytes.Repeat([]byte(version+"\n"), 10_000))
			return artifact{
				pkg: "widget", version: version, repo: "acme/generic/widget", tag: version,
				files: []string{file}, mediaTypes: []string{"application/octet-stream"},
			}
		},
		publish: func(t *testing.T, r *rig.Registry, a artifact) {
			t.Helper()
			curl(t, r, "-T", a.files[0], feed(r, "generic")+"/"+a.pkg+"/"+a.version+"/"+a.files[0])
		},
		install: func(t *testing.T, r *rig.Registry, a artifact) map[string][]byte {
			t.Helper()
			home := r.In(t)
			curl(t, home, "-O", feed(r, "generic")+"/"+a.pkg+"/"+a.version+"/"+a.files[0])
			return map[string][]byte{a.files[0]: home.Read(t, filepath.Base(a.files[0]))}
		},
	}
}
