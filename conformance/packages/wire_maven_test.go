package packages

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/packhouse/packhouse/conformance/rig"
)

const mavenPath = "/" + namespace + "/maven"

// mavenSums are the checksums that clients send and ask for.
func mavenSums() map[string]hash.Hash {
	return map[string]hash.Hash{"md5": md5.New(), "sha1": sha1.New(), "sha256": sha256.New(), "sha512": sha512.New()}
}

func hexSum(h hash.Hash, content []byte) string {
	h.Write(content)
	return hex.EncodeToString(h.Sum(nil))
}

// mavenPut deploys a jar and its POM with all checksums, as Gradle does.
func mavenPut(t *testing.T, r *rig.Registry, group, artifact, version string) {
	t.Helper()
	base := fmt.Sprintf("%s/%s/%s/%s/%s-%s", mavenPath, strings.ReplaceAll(group, ".", "/"), artifact, version, artifact, version)
	for ext, content := range map[string][]byte{".jar": jar(t, "x", version), ".pom": []byte(pom(group, artifact, version))} {
		ask(t, r, http.MethodPut, base+ext, nil, content, http.StatusCreated)
		for kind, h := range mavenSums() {
			if res, body := r.Do(t, http.MethodPut, base+ext+"."+kind, nil, []byte(hexSum(h, content))); res.StatusCode/100 != 2 {
				t.Errorf("PUT of %s%s.%s: %s: %s", base, ext, kind, res.Status, body)
			}
		}
	}
}

// TestMavenWire is formats.md part F, line 5, but for credentials: there are none yet.
func TestMavenWire(t *testing.T) {
	t.Parallel()
	t.Run("HTTP", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		mavenPut(t, r, "com.acme", "lib", "1.0.0")
		metadata := mavenPath + "/com/acme/lib/maven-metadata.xml"
		t.Run("checksums of the metadata are those of its bytes, whatever clients put there", func(t *testing.T) {
			stale := []byte("<metadata><groupId>com.acme</groupId><artifactId>lib</artifactId><versioning><versions><version>9</version></versions></versioning></metadata>")
			for _, file := range []string{metadata, metadata + ".sha1", metadata + ".md5"} {
				content := stale
				if file != metadata {
					content = []byte("0000000000000000000000000000000000000000")[:map[bool]int{true: 32, false: 40}[strings.HasSuffix(file, ".md5")]]
				}
				if res, body := r.Do(t, http.MethodPut, file, nil, content); res.StatusCode/100 != 2 {
					t.Errorf("PUT %s: %s: %s", file, res.Status, body)
				}
			}
			body := get(t, r, metadata)
			rig.Contains(t, string(body), "<version>1.0.0</version>")
			if strings.Contains(string(body), "<version>9</version>") {
				t.Error("a client's metadata was believed")
			}
			for kind, h := range mavenSums() {
				rig.Equal(t, kind, strings.TrimSpace(string(get(t, r, metadata+"."+kind))), hexSum(h, body))
			}
		})
		t.Run("checksums of every file, in four kinds", func(t *testing.T) {
			for _, ext := range []string{".jar", ".pom"} {
				file := mavenPath + "/com/acme/lib/1.0.0/lib-1.0.0" + ext
				body, header := ask(t, r, http.MethodGet, file, nil, nil, http.StatusOK)
				rig.Equal(t, "x-checksum-sha1", header.Get("X-Checksum-Sha1"), hexSum(sha1.New(), body))
				for kind, h := range mavenSums() {
					rig.Equal(t, kind, strings.TrimSpace(string(get(t, r, file+"."+kind))), hexSum(h, body))
				}
			}
		})
		t.Run("two deploys at once of different versions are both listed", func(t *testing.T) {
			var both sync.WaitGroup
			for i := range 8 {
				both.Go(func() { mavenPut(t, r, "com.acme", "busy", fmt.Sprintf("1.%d.0", i)) })
			}
			both.Wait()
			for i := range 8 {
				rig.Contains(t, string(get(t, r, mavenPath+"/com/acme/busy/maven-metadata.xml")), fmt.Sprintf("<version>1.%d.0</version>", i))
			}
		})
		t.Run("a wrong checksum is refused", func(t *testing.T) {
			res, _ := r.Do(t, http.MethodPut, mavenPath+"/com/acme/lib/1.0.0/lib-1.0.0.jar.sha1", nil, []byte(strings.Repeat("0", 40)))
			rig.Equal(t, "status", res.StatusCode, http.StatusBadRequest)
		})
		t.Run("a release is not deployed again with other bytes", func(t *testing.T) {
			file := mavenPath + "/com/acme/lib/1.0.0/lib-1.0.0.jar"
			before := get(t, r, file)
			if res, body := r.Do(t, http.MethodPut, file, nil, before); res.StatusCode/100 != 2 {
				t.Errorf("the same bytes again: %s: %s", res.Status, body)
			}
			ask(t, r, http.MethodPut, file, nil, jar(t, "x", "other"), http.StatusConflict)
			rig.Equal(t, "jar", sum(get(t, r, file)), sum(before))
		})
		t.Run("a version with a plus, in both spellings", func(t *testing.T) {
			mavenPut(t, r, "com.acme", "lib", "2.0.0+build.1")
			for _, v := range []string{"2.0.0+build.1", "2.0.0%2Bbuild.1"} {
				get(t, r, mavenPath+"/com/acme/lib/"+v+"/lib-"+v+".jar")
			}
			rig.Contains(t, string(get(t, r, metadata)), "<version>2.0.0+build.1</version>")
		})
		t.Run("what Gradle sends to publish", func(t *testing.T) { gradlePublishes(t, r) })
		t.Run("a version is listed only with its POM", func(t *testing.T) {
			ask(t, r, http.MethodPut, mavenPath+"/com/acme/lib/3.0.0/lib-3.0.0.jar", nil, jar(t, "x", "3"), http.StatusCreated)
			if strings.Contains(string(get(t, r, metadata)), "3.0.0") {
				t.Error("it is listed without")
			}
			ask(t, r, http.MethodPut, mavenPath+"/com/acme/lib/3.0.0/lib-3.0.0.pom", nil, []byte(pom("com.acme", "lib", "3.0.0")), http.StatusCreated)
			rig.Contains(t, string(get(t, r, metadata)), "<version>3.0.0</version>")
		})
	})
}

// gradlePublishes repeats the requests of Gradle's maven-publish: jar, module and POM, then the metadata that it read and
// changed, each with four checksums.
func gradlePublishes(t *testing.T, r *rig.Registry) {
	t.Helper()
	const dir = mavenPath + "/com/acme/by-gradle"
	put := func(path string, content []byte) {
		t.Helper()
		ask(t, r, http.MethodPut, path, http.Header{"Content-Type": {"application/octet-stream"}}, content, http.StatusCreated)
		for kind, h := range mavenSums() {
			if res, body := r.Do(t, http.MethodPut, path+"."+kind, nil, []byte(hexSum(h, content))); res.StatusCode/100 != 2 {
				t.Errorf("PUT %s.%s: %s: %s", path, kind, res.Status, body)
			}
		}
	}
	for _, version := range []string{"1.0", "1.1"} {
		base := dir + "/" + version + "/by-gradle-" + version
		library := jar(t, "x", version)
		module := fmt.Sprintf(`{"formatVersion":"1.1","component":{"group":"com.acme","module":"by-gradle","version":%[1]q,"attributes":{"org.gradle.status":"release"}},`+
			`"variants":[{"name":"apiElements","attributes":{"org.gradle.usage":"java-api"},"files":[{"name":"by-gradle-%[1]s.jar","url":"by-gradle-%[1]s.jar","size":%[2]d,"sha1":%[3]q}]}]}`,
			version, len(library), hexSum(sha1.New(), library))
		marked := strings.Replace(pom("com.acme", "by-gradle", version), "<modelVersion>", "<!-- do_not_remove: published-with-gradle-metadata --><modelVersion>", 1)
		put(base+".jar", library)
		put(base+".module", []byte(module))
		put(base+".pom", []byte(marked))
		if res, body := r.Do(t, http.MethodGet, dir+"/maven-metadata.xml", nil, nil); res.StatusCode != http.StatusOK {
			t.Errorf("GET of the metadata: %s: %s", res.Status, body)
		}
		metadata := "<metadata><groupId>com.acme</groupId><artifactId>by-gradle</artifactId><versioning><latest>" + version + "</latest><release>" + version +
			"</release><versions><version>" + version + "</version></versions><lastUpdated>20260102030405</lastUpdated></versioning></metadata>"
		for _, kind := range []string{"", ".sha1", ".md5", ".sha256", ".sha512"} {
			content := metadata
			if h := mavenSums()[strings.TrimPrefix(kind, ".")]; h != nil {
				content = hexSum(h, []byte(metadata))
			}
			if res, body := r.Do(t, http.MethodPut, dir+"/maven-metadata.xml"+kind, nil, []byte(content)); res.StatusCode/100 != 2 {
				t.Errorf("PUT of the metadata%s: %s: %s", kind, res.Status, body)
			}
		}
		for ext, want := range map[string]string{".jar": string(library), ".module": module, ".pom": marked} {
			rig.Equal(t, ext, string(get(t, r, base+ext)), want)
		}
	}
	rig.Contains(t, string(get(t, r, dir+"/maven-metadata.xml")), "<version>1.0</version>", "<version>1.1</version>", "<release>1.1</release>")
}
