package maven

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry"
)

func TestParsePath(t *testing.T) {
	t.Parallel()
	acme := []string{"com", "acme", "my-lib"}
	at := func(version string) []string { return append(acme[:3:3], version) }
	file := func(dir, version, name, suffix string, sums ...string) place {
		return place{dir: at(dir), file: name, sums: sums, coords: coords{"com.acme", "my-lib", version}, suffix: suffix}
	}
	const build = "1.1-20261123.203355-12"
	tests := []struct {
		path string
		want place
	}{
		{"", place{}},
		{"com/acme/", place{dir: acme[:2]}},
		{"com/acme", place{dir: acme[:2]}},
		{"com/acme/my-lib/1.0", place{dir: at("1.0")}},
		{"com/acme/my-lib/1.0/my-lib-1.0.jar", file("1.0", "1.0", "my-lib-1.0.jar", ".jar")},
		{"com/acme/my-lib/1.0/my-lib-1.0-sources.jar.asc.sha1", file("1.0", "1.0", "my-lib-1.0-sources.jar.asc", "-sources.jar.asc", "sha1")},
		{"com/acme/my-lib/1.0/my-lib-1.0.tar.gz.sha1.md5", file("1.0", "1.0", "my-lib-1.0.tar.gz", ".tar.gz", "sha1", "md5")},
		{"com/acme/my-lib/1.0-2+x/my-lib-1.0-2+x-a.b.jar", file("1.0-2+x", "1.0-2+x", "my-lib-1.0-2+x-a.b.jar", "-a.b.jar")},
		{"com/acme/my-lib/1.1-SNAPSHOT/my-lib-" + build + "-x.jar", file("1.1-SNAPSHOT", build, "my-lib-"+build+"-x.jar", "-x.jar")},
		{"com/acme/my-lib/1.1-SNAPSHOT/my-lib-1.1-SNAPSHOT.pom", file("1.1-SNAPSHOT", "1.1-SNAPSHOT", "my-lib-1.1-SNAPSHOT.pom", ".pom")},
		{"com/acme/my-lib/SNAPSHOT/my-lib-20261123.203355-1.pom", file("SNAPSHOT", "20261123.203355-1", "my-lib-20261123.203355-1.pom", ".pom")},
		{"com/acme/my-lib/maven-metadata.xml", place{dir: acme, file: metadataFile}},
		{"com/acme/my-lib/1.1-SNAPSHOT/maven-metadata.xml.sha512", place{dir: at("1.1-SNAPSHOT"), file: metadataFile, sums: []string{"sha512"}}},
		// Names that are not those of their directory's files.
		{"com/acme/my-lib/1.0/my-lib-1.1.jar", place{dir: append(at("1.0"), "my-lib-1.1.jar")}},
		{"com.acme/my-lib/1.0/my-lib-1.0.jar", place{dir: []string{"com.acme", "my-lib", "1.0", "my-lib-1.0.jar"}}},
		{"com/acme/my-lib/1.0/other-1.0.jar", place{dir: append(at("1.0"), "other-1.0.jar")}},
		{"com/acme/my-lib/1.0/my-lib-1.0", place{dir: append(at("1.0"), "my-lib-1.0")}},
		{"com/acme/my-lib/1.0/my-lib-1.0-sources", place{dir: append(at("1.0"), "my-lib-1.0-sources")}},
		{"com/acme/my-lib/1.1-SNAPSHOT/my-lib-1.1-20261399.203355-1.jar", place{dir: append(at("1.1-SNAPSHOT"), "my-lib-1.1-20261399.203355-1.jar")}},
	}
	for _, test := range tests {
		got, err := parsePath(test.path)
		if err != nil {
			t.Errorf("%q: %v", test.path, err)
			continue
		}
		if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(place{}, coords{})); diff != "" {
			t.Errorf("%q:\n%s", test.path, diff)
		}
	}
	for _, path := range []string{"../x", "a//b", "/a", "a/./b", "a/../../b", ".meta/prefixes.txt", "a\x00b", "a\\b", "a/b c", "ä/b"} {
		if _, err := parsePath(path); !errors.Is(err, registry.NameUnknown) {
			t.Errorf("%q: %v, want NAME_UNKNOWN", path, err)
		}
	}
	for _, path := range []string{"a/b/1:0/b-1:0.jar", "a/b/1..0/b-1..0.jar", "a!/b/1/b-1.jar"} {
		if _, err := parsePath(path); err == nil {
			t.Errorf("%q is accepted", path)
		}
	}
}

func TestSplitSuffix(t *testing.T) {
	t.Parallel()
	for suffix, want := range map[string][2]string{
		".jar":                     {"", "jar"},
		".tar.gz":                  {"", "tar.gz"},
		"-bin.tar.bz2":             {"bin", "tar.bz2"},
		"-sources.jar.asc":         {"sources", "jar.asc"},
		"-jdk1.8.jar":              {"jdk1.8", "jar"},
		".pom.sigstore.json":       {"", "pom.sigstore.json"},
		"-linux-x86_64.tar.gz.asc": {"linux-x86_64", "tar.gz.asc"},
	} {
		classifier, extension := splitSuffix(suffix)
		if got := [2]string{classifier, extension}; got != want {
			t.Errorf("%s: %q, want %q", suffix, got, want)
		}
	}
}

func TestBuildVersions(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]build{
		"1.1-20261123.203355-1":    {"1.1-SNAPSHOT", "20261123.203355", 1},
		"20261123.203355-10":       {"SNAPSHOT", "20261123.203355", 10},
		"1-rc-1-20261123.203355-0": {"1-rc-1-SNAPSHOT", "20261123.203355", 0},
	} {
		got, ok := parseBuild(version)
		if !ok || got != want || got.version() != version {
			t.Errorf("%s: %+v, %s", version, got, got.version())
		}
	}
	for _, version := range []string{"1.0", "1.1-SNAPSHOT", "1.1-20261123.203355", "1.1-20261123.203355-01", "1.1-20261123.203355-x", "1.1-20261123.253355-1", "-20261123.203355-1", "1.1-20261123203355-1"} {
		if b, ok := parseBuild(version); ok {
			t.Errorf("%s is build %+v", version, b)
		}
	}
}

func TestNextBuildNeverGoesBack(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 12, 30, 59, 0, time.UTC)
	first := build{}.next("1-SNAPSHOT", now)
	second := first.next("1-SNAPSHOT", now.Add(-time.Hour))
	if got := first.version(); got != "1-20261124.123000-1" {
		t.Error(got)
	}
	if got := second.version(); got != "1-20261124.123000-2" || second.compare(first) <= 0 {
		t.Error(got)
	}
}

func FuzzParsePath(f *testing.F) {
	for _, s := range []string{"com/acme/my-lib/1.0/my-lib-1.0.jar", "a/b/1-SNAPSHOT/b-1-20261123.203355-1-x.tar.gz.asc.md5", "a/maven-metadata.xml.sha1", "a/../b", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		p, err := parsePath(path)
		if err != nil || p.suffix == "" {
			return
		}
		// What was understood makes the path again.
		dir := strings.ReplaceAll(p.Group, ".", "/") + "/" + p.Artifact + "/" + baseVersion(p.Version)
		if got := p.dir[len(p.dir)-1]; got == p.Version {
			dir = strings.ReplaceAll(p.Group, ".", "/") + "/" + p.Artifact + "/" + p.Version
		}
		got := dir + "/" + p.stem() + p.suffix
		for _, sum := range p.sums {
			got += "." + sum
		}
		if got != path {
			t.Errorf("%q was read as %+v, which is %q", path, p, got)
		}
		if _, err := (Format{}).Repository(p.pkg()); err != nil {
			t.Errorf("%q: %v", path, err)
		}
		if _, err := (Format{}).Tag(p.Version); err != nil {
			t.Errorf("%q: %v", path, err)
		}
	})
}
