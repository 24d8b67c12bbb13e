package npm

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry"
)

// TestScopedNamesInAllSpellings: clients write the slash behind a scope as %2f,
// %2F or as it is, in each path that has a package in it.
func TestScopedNamesInAllSpellings(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.publish("@acme/widget", "1.0.0")
	p.publish("widget", "2.0.0")
	for _, name := range []string{"@acme%2fwidget", "@acme%2Fwidget", "%40acme%2Fwidget", "@acme/widget", "%40acme/widget"} {
		p.want(http.StatusOK, http.MethodGet, "/"+name, "")
		p.want(http.StatusOK, http.MethodGet, "/"+name+"/1.0.0", "")
		p.want(http.StatusOK, http.MethodGet, "/"+name+"/latest", "")
		p.want(http.StatusOK, http.MethodGet, "/"+name+"/-/widget-1.0.0.tgz", "")
		p.want(http.StatusOK, http.MethodGet, "/"+name+"/-/@acme/widget-1.0.0.tgz", "")
		p.want(http.StatusOK, http.MethodGet, "/"+name+"/-/@acme%2fwidget-1.0.0.tgz", "")
		p.want(http.StatusOK, http.MethodGet, "/-/package/"+name+"/dist-tags", "")
		p.want(http.StatusCreated, http.MethodPut, "/-/package/"+name+"/dist-tags/old", `"1.0.0"`)
		p.want(http.StatusOK, http.MethodDelete, "/-/package/"+name+"/dist-tags/old", "")
		p.want(http.StatusOK, http.MethodGet, "/-/package/"+name+"/visibility", "")
		p.want(http.StatusNotFound, http.MethodGet, "/-/npm/v1/attestations/"+name+"@1.0.0", "")
		p.want(http.StatusNotFound, http.MethodGet, "/"+name+"/2.0.0", "")
	}
	for i, name := range []string{"@acme%2fput", "@acme%2Fput", "@acme/put"} {
		version := "1.0." + string(rune('0'+i))
		body := publishing{name: "@acme/put", version: version, tarball: simple(`{"name":"@acme/put","version":"` + version + `"}`)}.body()
		p.want(http.StatusCreated, http.MethodPut, "/"+name, body)
		p.want(http.StatusCreated, http.MethodPut, "/"+name+"/-rev/"+p.packument("@acme/put").Rev, `{"maintainers":[{"name":"a","email":"b"}]}`)
	}
	p.want(http.StatusOK, http.MethodDelete, "/@acme/put/-rev/"+p.packument("@acme/put").Rev, "")
	p.want(http.StatusOK, http.MethodGet, "/widget/2.0.0", "")
	p.want(http.StatusOK, http.MethodGet, "/widget/-/widget-2.0.0.tgz", "")
	p.want(http.StatusOK, http.MethodGet, "/-/package/widget/dist-tags", "")
}

// TestTarballURLs: the URL has the feed's prefix, and is what clients fetch.
func TestTarballURLs(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.publish("@acme/widget", "1.0.0")
	var v struct{ Dist struct{ Tarball string } }
	p.decode(string(p.packument("@acme/widget").Versions["1.0.0"]), &v)
	if want := p.Base() + "/@acme/widget/-/widget-1.0.0.tgz"; v.Dist.Tarball != want {
		t.Errorf("tarball %q, want %q", v.Dist.Tarball, want)
	}
	res, _ := p.do(http.MethodGet, "/@acme/widget/-/widget-1.0.0.tgz", "")
	got := map[string]string{"Content-Type": res.Header.Get("Content-Type"), "Content-Encoding": res.Header.Get("Content-Encoding")}
	if diff := cmp.Diff(map[string]string{"Content-Type": "application/octet-stream", "Content-Encoding": ""}, got); diff != "" {
		t.Error(diff)
	}
	for _, file := range []string{"widget-1.0.1.tgz", "widget-1.0.0.zip", "other-1.0.0.tgz", "widget-.tgz", "widget.tgz"} {
		p.refused(http.StatusNotFound, "@acme/widget has no", http.MethodGet, "/@acme/widget/-/"+file, "")
	}
	p.want(http.StatusOK, http.MethodGet, "/@acme/widget/-/widget-1.0.0+build.tgz", "")
}

func TestDocuments(t *testing.T) {
	t.Parallel()
	p := open(t)
	doc := `{"name":"widget","version":"1.0.0","description":"It turns","dependencies":{"a":"1"},"scripts":{"postinstall":"x"},"exports":"./x.js"}`
	p.want(http.StatusCreated, http.MethodPut, "/widget", publishing{name: "widget", version: "1.0.0", described: doc, tarball: simple(doc)}.body())
	for _, test := range []struct {
		accept, want string
	}{
		{"", "application/json"},
		{"*/*", "application/json"},
		{"application/json", "application/json"},
		{"application/vnd.npm.install-v1+json", abbreviatedType},
		{"application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*", abbreviatedType},
		{"application/json;q=0.9,application/vnd.npm.install-v1+json;q=0.5", "application/json"},
		{"application/vnd.npm.install-v1+json;q=0", "application/json"},
	} {
		res, body := p.do(http.MethodGet, "/widget", "", "Accept", test.accept)
		if got := res.Header.Get("Content-Type"); got != test.want {
			t.Errorf("Accept %q: Content-Type %q, want %q", test.accept, got, test.want)
		}
		if !slices.Contains(res.Header.Values("Vary"), "Accept") {
			t.Errorf("Accept %q: Vary %q", test.accept, res.Header.Values("Vary"))
		}
		var d packumentJSON
		p.decode(body, &d)
		var keys map[string]json.RawMessage
		p.decode(string(d.Versions["1.0.0"]), &keys)
		want := []string{"_id", "dependencies", "description", "dist", "exports", "name", "scripts", "version"}
		if test.want == abbreviatedType {
			want = []string{"dependencies", "dist", "hasInstallScript", "name", "version"}
		}
		if diff := cmp.Diff(want, slices.Sorted(maps.Keys(keys))); diff != "" {
			t.Errorf("Accept %q: %s", test.accept, diff)
		}
		// pnpm and Yarn read it in either document.
		if d.Time["1.0.0"] == "" || d.Time["modified"] == "" {
			t.Errorf("Accept %q: time %v", test.accept, d.Time)
		}
	}
	p.refused(http.StatusNotFound, "nothing is not in this registry", http.MethodGet, "/nothing", "")
	p.refused(http.StatusNotFound, "@acme/nothing is not in this registry", http.MethodGet, "/@acme%2fnothing", "")
	p.refused(http.StatusNotFound, "has no /-/foo", http.MethodGet, "/-/foo", "")
	p.refused(http.StatusNotFound, "no version or dist-tag", http.MethodGet, "/widget/next", "")
	res, _ := p.do(http.MethodGet, "/widget/1.0.0", "")
	if again, _ := p.do(http.MethodGet, "/widget/latest", "", "If-None-Match", res.Header.Get("ETag")); again.StatusCode != http.StatusNotModified {
		t.Errorf("a version's document, again: %s", again.Status)
	}
}

// TestPublishComparesBodyAndTarball: manifest confusion, and damage on the way.
func TestPublishComparesBodyAndTarball(t *testing.T) {
	t.Parallel()
	const name, doc = "widget", `{"name":"widget","version":"1.0.0","dependencies":{"a":"1"}}`
	good := publishing{name: name, version: "1.0.0", described: doc, tarball: simple(doc)}
	with := func(change func(*publishing)) string {
		pub := good
		change(&pub)
		return pub.body()
	}
	for _, test := range []struct {
		name, body, want string
	}{
		{"hidden dependency", with(func(p *publishing) { p.described = `{"name":"widget","version":"1.0.0"}` }), "dependencies.a"},
		{"another version inside", with(func(p *publishing) {
			p.tarball = simple(`{"name":"widget","version":"1.0.1","dependencies":{"a":"1"}}`)
		}), "differ in version"},
		{"another name inside", with(func(p *publishing) { p.tarball = simple(`{"name":"other","version":"1.0.0","dependencies":{"a":"1"}}`) }), "differ in name"},
		{"another name in the body", with(func(p *publishing) { p.name = "other" }), "the request body says"},
		{"wrong shasum", with(func(p *publishing) { p.dist = map[string]string{"shasum": strings.Repeat("0", 40)} }), "SHA-1"},
		{"wrong integrity", with(func(p *publishing) { p.dist = map[string]string{"integrity": "sha512-AAAA"} }), "sha512"},
		{"wrong weak integrity", with(func(p *publishing) { p.dist = map[string]string{"integrity": "sha256-AAAA"} }), "sha256"},
		{"wrong length", with(func(p *publishing) { p.length = 7 }), "bytes long"},
		{"no tarball of the version", strings.Replace(good.body(), `"versions":{"1.0.0"`, `"versions":{"3.0.0":{},"2.0.0"`, 1), "2 versions"},
		{"a version twice as deep", strings.Replace(good.body(), `"versions":{"1.0.0":{`, `"versions":{"1.0.0":{"name":"evil",`, 1), "twice"},
		{"not base64", strings.Replace(good.body(), `"data":"`, `"data":"?`, 1), "base64"},
		{"a bad dist-tag", with(func(p *publishing) { p.tag = "1.x" }), "not a dist-tag"},
		{"not JSON", good.body()[:50], "not valid JSON"},
		{"no tarball", with(func(p *publishing) { p.tarball = []byte("no") }), "not a tarball"},
		{"two tarballs", strings.Replace(good.body(), `"_attachments":{`, `"_attachments":{"x.tgz":{"data":"QUJD"},`, 1), "two tarballs"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := open(t)
			p.refused(http.StatusBadRequest, test.want, http.MethodPut, "/"+name, test.body)
			p.want(http.StatusNotFound, http.MethodGet, "/"+name, "")
		})
	}
	p := open(t)
	p.want(http.StatusCreated, http.MethodPut, "/"+name, good.body())
	p.want(http.StatusCreated, http.MethodPut, "/"+name, strings.ReplaceAll(with(func(p *publishing) { p.dist = map[string]string{"integrity": "sha999-x " + integrityOf(good.tarball)} }), "+", `\u002b`))
}

func integrityOf(tarball []byte) string {
	s, _, _ := strings.Cut(publishing{tarball: tarball}.body(), `","shasum"`)
	return s[strings.Index(s, "sha512-"):]
}

// TestExistingVersion: npm reads our sentence, and a retry with the same
// tarball succeeds without moving dist-tags back.
func TestExistingVersion(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.publish("widget", "1.0.0")
	p.publish("widget", "1.1.0")
	p.publish("widget", "1.0.0")
	p.publish("widget", "1.0.0", "old")
	if diff := cmp.Diff(map[string]string{"latest": "1.1.0", "old": "1.0.0"}, p.tags("widget")); diff != "" {
		t.Error(diff)
	}
	other := publishing{name: "widget", version: "1.0.0", tarball: simple(`{"name":"widget","version":"1.0.0","x":1}`)}
	p.refused(http.StatusForbidden, "You cannot publish over the previously published versions: 1.0.0.", http.MethodPut, "/widget", other.body())
	// Build metadata makes no other version.
	other = publishing{name: "widget", version: "1.0.0+b", tarball: simple(`{"name":"widget","version":"1.0.0+b"}`)}
	p.refused(http.StatusForbidden, "You cannot publish over", http.MethodPut, "/widget", other.body())
}

// TestBuildMetadataIsCut: Yarn keeps it, npm does not.
func TestBuildMetadataIsCut(t *testing.T) {
	t.Parallel()
	p := open(t)
	pub := publishing{name: "widget", version: "1.0.0-rc.1+b.5", tag: "next", tarball: simple(`{"name":"widget","version":"v1.0.0-rc.1+b.5"}`)}
	p.want(http.StatusCreated, http.MethodPut, "/widget", pub.body())
	d := p.packument("widget")
	if d.Versions["1.0.0-rc.1"] == nil || len(d.Versions) != 1 {
		t.Errorf("versions %v", slices.Sorted(maps.Keys(d.Versions)))
	}
	if diff := cmp.Diff(map[string]string{"latest": "1.0.0-rc.1", "next": "1.0.0-rc.1"}, d.Tags); diff != "" {
		t.Error(diff)
	}
	p.want(http.StatusOK, http.MethodGet, "/widget/1.0.0-rc.1+b.5", "")
}

// TestLatestAlwaysExists: after a first publish under another dist-tag, after
// an OCI push without a label, and after latest was unpublished.
func TestLatestAlwaysExists(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.publish("widget", "1.0.0", "next")
	p.sameTag("widget", "latest", "1.0.0")
	p.publish("widget", "2.0.0-rc.1", "next")
	p.publish("widget", "1.5.0", "beta")
	if diff := cmp.Diff(map[string]string{"latest": "1.0.0", "next": "2.0.0-rc.1", "beta": "1.5.0"}, p.tags("widget")); diff != "" {
		t.Error(diff)
	}
	for _, version := range []string{"1.0.0", "1.1.0", "1.2.0-rc.1"} {
		s := sample("pushed", version, simple(`{"name":"pushed","version":"`+version+`"}`))
		if err := p.Push("acme/npm/pushed", registry.Tag(version), s.Files, nil); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(map[string]string{"latest": "1.1.0"}, p.tags("pushed")); diff != "" {
		t.Error(diff)
	}
	p.publish("pushed", "3.0.0", "next")
	if diff := cmp.Diff(map[string]string{"latest": "1.1.0", "next": "3.0.0"}, p.packument("pushed").Tags); diff != "" {
		t.Error(diff)
	}
	p.want(http.StatusOK, http.MethodGet, "/pushed/latest", "")
}

func TestDistTags(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.publish("widget", "1.0.0")
	p.publish("widget", "2.0.0")
	const tags = "/-/package/widget/dist-tags"
	p.want(http.StatusCreated, http.MethodPut, tags+"/old", `"1.0.0"`)
	p.want(http.StatusCreated, http.MethodPut, tags+"/latest", `"v1.0.0+b"`)
	if diff := cmp.Diff(map[string]string{"latest": "1.0.0", "old": "1.0.0"}, p.tags("widget")); diff != "" {
		t.Error(diff)
	}
	if _, err := p.Engine.Tagged(t.Context(), "acme/npm/widget", "old"); err != nil {
		t.Errorf("a dist-tag is a tag: %v", err)
	}
	p.want(http.StatusOK, http.MethodDelete, tags+"/old", "")
	p.refused(http.StatusNotFound, `no dist-tag "old"`, http.MethodDelete, tags+"/old", "")
	p.refused(http.StatusBadRequest, "latest cannot be removed", http.MethodDelete, tags+"/latest", "")
	p.refused(http.StatusBadRequest, "not a dist-tag", http.MethodPut, tags+"/1.x", `"1.0.0"`)
	p.refused(http.StatusNotFound, "no version 3.0.0", http.MethodPut, tags+"/y", `"3.0.0"`)
	p.refused(http.StatusBadRequest, "not a version", http.MethodPut, tags+"/y", `"latest"`)
	p.refused(http.StatusBadRequest, "JSON", http.MethodPut, tags+"/y", `1.0.0`)
	p.refused(http.StatusNotFound, "nothing is not in this registry", http.MethodGet, "/-/package/nothing/dist-tags", "")
}

func TestDeprecate(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.publish("widget", "1.0.0")
	p.publish("widget", "2.0.0")
	set := func(why string) int {
		d := p.packument("widget")
		var v map[string]any
		p.decode(string(d.Versions["1.0.0"]), &v)
		v["deprecated"], v["dependencies"] = why, map[string]string{"evil": "1"}
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		d.Versions["1.0.0"] = raw
		body, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		res, _ := p.do(http.MethodPut, "/widget", string(body))
		return res.StatusCode
	}
	deprecated := func() (why string) {
		var v map[string]any
		p.decode(p.want(http.StatusOK, http.MethodGet, "/widget/1.0.0", ""), &v)
		if v["dependencies"] != nil {
			t.Errorf("more than the deprecation changed: %v", v)
		}
		why, _ = v["deprecated"].(string)
		return why
	}
	for _, why := range []string{"use 2 <instead>", "", "again", "again"} {
		if status := set(why); status != http.StatusCreated || deprecated() != why {
			t.Errorf("deprecate %q: %d, is %q", why, status, deprecated())
		}
	}
	if status := set(strings.Repeat("x", maxWhy+1)); status != http.StatusBadRequest {
		t.Errorf("a long deprecation: %d", status)
	}
	stale := `{"_id":"widget","_rev":"0-0","versions":{"1.0.0":{"deprecated":"x"}}}`
	p.refused(http.StatusConflict, "was changed in the meantime", http.MethodPut, "/widget", stale)
	p.refused(http.StatusNotFound, "is not in this registry", http.MethodPut, "/nothing", stale)
}

func TestStarsAndMaintainers(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.publish("widget", "1.0.0")
	p.want(http.StatusCreated, http.MethodPut, "/widget", `{"_id":"widget","_rev":"`+p.packument("widget").Rev+`","users":{"anonymous":true,"bob":true}}`)
	if diff := cmp.Diff(map[string]bool{"anonymous": true}, p.packument("widget").Users); diff != "" {
		t.Error(diff)
	}
	p.want(http.StatusCreated, http.MethodPut, "/widget", `{"_id":"widget","users":{}}`)
	if users := p.packument("widget").Users; len(users) > 0 {
		t.Errorf("users %v after the star was taken back", users)
	}
	p.want(http.StatusCreated, http.MethodPut, "/widget/-rev/"+p.packument("widget").Rev, `{"maintainers":[{"name":"bob","email":"b@x.y"}]}`)
	if m := p.packument("widget").Maintainer; len(m) != 1 || m[0].Name != "bob" {
		t.Errorf("maintainers %v", m)
	}
	p.refused(http.StatusBadRequest, "maintainer", http.MethodPut, "/widget/-rev/"+p.packument("widget").Rev, `{"maintainers":[]}`)
	p.refused(http.StatusBadRequest, "neither", http.MethodPut, "/widget", `{"_id":"widget"}`)
}

// TestProvenance: the bundle is checked against the tarball, kept as a
// referrer, and served.
func TestProvenance(t *testing.T) {
	t.Parallel()
	const name = "@acme/widget"
	tarball := simple(`{"name":"@acme/widget","version":"1.0.0"}`)
	sum := sha512Hex(tarball)
	bundle := func(subjects string) string {
		payload := `{"_type":"https://in-toto.io/Statement/v1","subject":[` + subjects + `],"predicateType":"https://slsa.dev/provenance/v1","predicate":{"é":"\"\\"}}`
		return `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","dsseEnvelope":{"payload":"` + base64.StdEncoding.EncodeToString([]byte(payload)) + `","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":""}]}}`
	}
	subject := func(name, sum string) string { return `{"name":"` + name + `","digest":{"sha512":"` + sum + `"}}` }
	const purl = "pkg:npm/%40acme/widget@1.0.0"
	good := bundle(subject(purl, sum))
	p := open(t)
	for want, provenance := range map[string]string{
		"not about pkg:npm":  bundle(subject("pkg:npm/other@1.0.0", sum)),
		"not about this one": bundle(subject(purl, strings.Repeat("0", 128))),
		"2 subjects":         bundle(subject(purl, sum) + "," + subject(purl, sum)),
		"0 subjects":         bundle(""),
		"not a Sigstore":     `{"mediaType":"text/plain"}`,
		"in JSON":            `no JSON`,
	} {
		p.refused(http.StatusBadRequest, want, http.MethodPut, "/@acme%2fwidget", publishing{name: name, version: "1.0.0", tarball: tarball, provenance: provenance}.body())
	}
	p.want(http.StatusCreated, http.MethodPut, "/@acme%2fwidget", publishing{name: name, version: "1.0.0", tarball: tarball, provenance: good}.body())
	var v struct {
		Dist struct {
			Attestations struct {
				URL        string
				Provenance struct{ PredicateType string }
			}
		}
	}
	p.decode(string(p.packument(name).Versions["1.0.0"]), &v)
	if got := v.Dist.Attestations; got.Provenance.PredicateType != "https://slsa.dev/provenance/v1" || got.URL != p.Base()+"/-/npm/v1/attestations/@acme%2fwidget@1.0.0" {
		t.Errorf("dist.attestations = %+v", got)
	}
	var answer struct {
		Attestations []struct {
			PredicateType string
			Bundle        json.RawMessage
		}
	}
	// What OCI clients attest is about the manifest: npm's would refuse the package for it.
	const bundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"
	other := registry.Referrer{ArtifactType: bundleType, MediaType: bundleType, Content: []byte(bundle(subject("localhost/acme/npm/acme/widget", sum)))}
	if err := p.Engine.Attach(t.Context(), "acme/npm/acme/widget", "1.0.0", other); err != nil {
		t.Fatal(err)
	}
	p.decode(p.want(http.StatusOK, http.MethodGet, "/-/npm/v1/attestations/@acme%2fwidget@1.0.0", ""), &answer)
	if len(answer.Attestations) != 1 || answer.Attestations[0].PredicateType != "https://slsa.dev/provenance/v1" || string(answer.Attestations[0].Bundle) != good {
		t.Errorf("attestations = %+v, want the bundle %s", answer, good)
	}
	m, err := p.Engine.Tagged(t.Context(), "acme/npm/acme/widget", "1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	for ref, err := range p.Engine.Referrers(t.Context(), "acme/npm/acme/widget", m.Digest, "", "") {
		if err != nil {
			t.Fatal(err)
		}
		types = append(types, ref.ArtifactType)
	}
	if !slices.Contains(types, bundleType) {
		t.Errorf("referrers of types %v", types)
	}
}
