package maven

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/artifacttypes/typetest"
	"github.com/packhouse/packhouse/registry"
)

const snap = lib + "/1.1-SNAPSHOT"

func buildVersion(n int) string { return fmt.Sprintf("1.1-20261123.%06d-%d", n, n) }

// deploy publishes build n of com.acme:lib:1.1-SNAPSHOT as Maven does.
func (r repository) deploy(n int) {
	r.t.Helper()
	version := buildVersion(n)
	r.want(http.StatusCreated, "PUT", snap+"/lib-"+version+".txt", version)
	r.want(http.StatusCreated, "PUT", snap+"/lib-"+version+".pom", pomOf("com.acme", "lib", "1.1-SNAPSHOT"))
}

func (r repository) tag(tag registry.Tag) registry.Digest {
	r.t.Helper()
	m, err := r.Engine.Tagged(r.t.Context(), "acme/maven/com.acme/lib", tag)
	if err != nil {
		r.t.Fatal(err)
	}
	return m.Digest
}

func TestSnapshotBuilds(t *testing.T) {
	t.Parallel()
	r := open(t)
	r.deploy(1)
	r.deploy(3)
	r.deploy(2) // arrives late
	for path, want := range map[string]string{
		snap + "/lib-" + buildVersion(1) + ".txt":        buildVersion(1),
		snap + "/lib-1.1-SNAPSHOT.txt":                   buildVersion(3),
		snap + "/lib-1.1-SNAPSHOT.txt.sha1":              digestOf("sha1", []byte(buildVersion(3))),
		snap + "/lib-" + buildVersion(2) + ".txt.sha256": digestOf("sha256", []byte(buildVersion(2))),
	} {
		if got := r.want(http.StatusOK, "GET", path, ""); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	res, _ := r.send("GET", snap+"/lib-1.1-SNAPSHOT.txt", "")
	if got := res.header.Get("Cache-Control"); got != "no-cache" {
		t.Errorf("Cache-Control of a name that moves: %q", got)
	}
	if diff := cmp.Diff([]string{"1.1-SNAPSHOT"}, r.versions(lib)); diff != "" {
		t.Error(diff)
	}
	metadata := r.want(http.StatusOK, "GET", snap+"/maven-metadata.xml", "")
	if !strings.Contains(metadata, "<buildNumber>3</buildNumber>") {
		t.Error(metadata)
	}
	if got := r.want(http.StatusOK, "GET", snap+"/maven-metadata.xml.sha1", ""); got != digestOf("sha1", []byte(metadata)) {
		t.Error(got)
	}
	if r.tag("1.1-SNAPSHOT") != r.tag(registry.Tag(buildVersion(3))) {
		t.Error("the tag of the snapshot is not its newest build's")
	}
	r.want(http.StatusConflict, "PUT", snap+"/lib-"+buildVersion(1)+".txt", "other")
	r.want(http.StatusBadRequest, "PUT", lib+"/"+buildVersion(1)+"/lib-"+buildVersion(1)+".txt", "x")
	r.want(http.StatusNotFound, "GET", snap+"/lib-1.1-SNAPSHOT.jar", "")
	r.want(http.StatusNotFound, "GET", lib+"/1.2-SNAPSHOT/maven-metadata.xml", "")
}

func TestSnapshotCleanUp(t *testing.T) {
	t.Parallel()
	r := open(t)
	const keep = 10
	for n := range keep + 3 {
		r.deploy(n + 1)
	}
	for n := range keep + 3 {
		want := http.StatusOK
		if n < 3 {
			want = http.StatusNotFound
		}
		r.want(want, "GET", snap+"/lib-"+buildVersion(n+1)+".txt", "")
	}
	r.want(http.StatusNoContent, "DELETE", snap+"/", "")
	r.want(http.StatusNotFound, "GET", snap+"/maven-metadata.xml", "")
	r.want(http.StatusNotFound, "GET", lib+"/maven-metadata.xml", "")
}

// Clients that do not number builds replace files; each replacement is a build.
func TestFilesUnderTheSnapshotsName(t *testing.T) {
	t.Parallel()
	r := open(t)
	const stem = snap + "/lib-1.1-SNAPSHOT"
	pom := pomOf("com.acme", "lib", "1.1-SNAPSHOT")
	get := func(suffix, want string) {
		t.Helper()
		if got := r.want(http.StatusOK, "GET", stem+suffix, ""); got != want {
			t.Errorf("%s: %q, want %q", suffix, got, want)
		}
	}
	number := func(want int) {
		t.Helper()
		if got := r.want(http.StatusOK, "GET", snap+"/maven-metadata.xml", ""); !strings.Contains(got, fmt.Sprintf("<buildNumber>%d</buildNumber>", want)) {
			t.Errorf("want build %d: %s", want, got)
		}
	}
	r.want(http.StatusCreated, "PUT", stem+".txt", "one")
	r.want(http.StatusCreated, "PUT", stem+".txt.sha1", digestOf("sha1", []byte("one")))
	get(".txt", "one") // before the POM
	r.want(http.StatusCreated, "PUT", stem+".pom", pom)
	r.want(http.StatusCreated, "PUT", stem+".txt.asc", "signature of one")
	number(1)
	// The POM first, and it did not change.
	r.want(http.StatusOK, "PUT", stem+".pom", pom)
	number(1)
	r.want(http.StatusCreated, "PUT", stem+".txt", "two")
	number(2)
	get(".txt", "two")
	get(".pom", pom)
	r.want(http.StatusBadRequest, "PUT", stem+".txt.sha1", digestOf("sha1", []byte("one")))
	versions, err := r.Engine.Versions(t.Context(), "acme/maven/com.acme/lib")
	if err != nil || len(versions) != 2 {
		t.Fatalf("%v, %v", versions, err)
	}
	newest := versions[1].Version
	r.want(http.StatusOK, "GET", snap+"/lib-"+newest+".txt", "")
	// A signature does not outlive what it signs.
	r.want(http.StatusNotFound, "GET", snap+"/lib-"+newest+".txt.asc", "")
	if r.tag("1.1-SNAPSHOT") != r.tag(registry.Tag(newest)) {
		t.Error("the tag of the snapshot is not its newest build's")
	}
	// A build that a client numbered, and one after it.
	r.want(http.StatusConflict, "PUT", snap+"/lib-"+newest+".txt", "three")
	r.want(http.StatusCreated, "PUT", stem+"-extra.txt", "extra")
	number(2)
	get("-extra.txt", "extra")
}

func TestParallelPutsUnderTheSnapshotsName(t *testing.T) {
	t.Parallel()
	r := open(t)
	const stem = snap + "/lib-1.1-SNAPSHOT"
	const n = 8
	for round := range 2 {
		var wait sync.WaitGroup
		for i := range n {
			wait.Go(func() { r.send("PUT", fmt.Sprintf("%s-c%d.txt", stem, i), fmt.Sprint(round, i)) })
		}
		wait.Wait()
		r.send("PUT", stem+".pom", pomOf("com.acme", "lib", "1.1-SNAPSHOT"))
		for i := range n {
			if got := r.want(http.StatusOK, "GET", fmt.Sprintf("%s-c%d.txt", stem, i), ""); got != fmt.Sprint(round, i) {
				t.Errorf("round %d, file %d: %q", round, i, got)
			}
		}
	}
}

func TestSnapshotBuildByOCI(t *testing.T) {
	t.Parallel()
	r := open(t)
	r.deploy(1)
	const repo = "acme/maven/com.acme/lib"
	files := func(version string) []typetest.File {
		return []typetest.File{
			{Name: "lib-" + version + ".pom", MediaType: "text/xml", Content: []byte(pomOf("com.acme", "lib", "1.1-SNAPSHOT"))},
			{Name: "lib-" + version + ".txt", MediaType: "text/plain", Content: []byte(version)},
		}
	}
	if err := r.Push(repo, "1.1-SNAPSHOT", files("1.1-SNAPSHOT"), nil); !errors.Is(err, registry.ManifestInvalid) {
		t.Errorf("without a build: %v, want MANIFEST_INVALID", err)
	}
	if err := r.Push(repo, registry.Tag(buildVersion(2)), files(buildVersion(2)), nil); err != nil {
		t.Fatal(err)
	}
	if got := r.want(http.StatusOK, "GET", snap+"/lib-1.1-SNAPSHOT.txt", ""); got != buildVersion(2) {
		t.Errorf("newest build: %q", got)
	}
	// The snapshot's tag may come along, as it does with a copy.
	if err := r.Push(repo, "1.1-SNAPSHOT", files(buildVersion(2)), nil); err != nil {
		t.Error(err)
	}
	if r.tag("1.1-SNAPSHOT") != r.tag(registry.Tag(buildVersion(2))) {
		t.Error("the tag of the snapshot is not its newest build's")
	}
}
