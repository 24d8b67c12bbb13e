package packages

import (
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"strings"
	"testing"

	"github.com/packhouse/packhouse/conformance/packhouse"
	"github.com/packhouse/packhouse/conformance/rig"
)

const npmPath = "/" + namespace + "/npm"

// packument is what the tests read of one.
type packument struct {
	ID       string            `json:"_id"`
	Rev      string            `json:"_rev"`
	Tags     map[string]string `json:"dist-tags"`
	Time     map[string]string
	Versions map[string]struct {
		Name, Version, Deprecated string
		Dist                      struct {
			Tarball, Integrity, Shasum string
			Attestations               struct{ URL string }
		}
	}
}

func npmTarball(t *testing.T, name, version string) []byte {
	t.Helper()
	return tarGzip(t, "package/package.json", fmt.Sprintf(`{"name":%q,"version":%q}`, name, version))
}

// npmBody is what npm sends to publish a version, with further attachments as JSON members.
func npmBody(name, version, tag string, tarball []byte, more string) []byte {
	long, short := sha512.Sum512(tarball), sha1.Sum(tarball)
	return []byte(fmt.Sprintf(`{"_id":%[1]q,"name":%[1]q,"dist-tags":{%[3]q:%[2]q},"versions":{%[2]q:{"name":%[1]q,"version":%[2]q,"_id":%[5]q,
"dist":{"integrity":"sha512-%[6]s","shasum":"%[7]s","tarball":"http://localhost/%[1]s/-/%[1]s-%[2]s.tgz"}}},"access":null,
"_attachments":{"%[1]s-%[2]s.tgz":{"content_type":"application/octet-stream","data":%[4]q,"length":%[8]d}%[9]s}}`,
		name, version, tag, base64.StdEncoding.EncodeToString(tarball), name+"@"+version, base64.StdEncoding.EncodeToString(long[:]),
		hex.EncodeToString(short[:]), len(tarball), more))
}

func npmPut(t *testing.T, r *rig.Registry, name, version, tag string) {
	t.Helper()
	escaped := strings.ReplaceAll(name, "/", "%2f")
	ask(t, r, http.MethodPut, npmPath+"/"+escaped, jsonHeader(), npmBody(name, version, tag, npmTarball(t, name, version), ""), http.StatusCreated)
}

func jsonHeader() http.Header { return http.Header{"Content-Type": {"application/json"}} }

func getPackument(t *testing.T, r *rig.Registry, escaped string) packument {
	t.Helper()
	return rig.Decode[packument](t, string(get(t, r, npmPath+"/"+escaped)))
}

// TestNPMWire is formats.md part F, lines 1 to 3.
func TestNPMWire(t *testing.T) {
	t.Parallel()
	t.Run("HTTP", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		npmPut(t, r, "@acme/widget", "1.0.0", "latest")
		tarball := npmTarball(t, "@acme/widget", "1.0.0")
		for _, spelling := range []string{"@acme%2fwidget", "@acme%2Fwidget", "@acme/widget", "%40acme%2fwidget"} {
			t.Run("a scoped name spelled "+strings.ReplaceAll(spelling, "/", " slash "), func(t *testing.T) {
				rig.Equal(t, "_id", getPackument(t, r, spelling).ID, "@acme/widget")
				rig.Contains(t, string(get(t, r, npmPath+"/"+spelling+"/1.0.0")), `"version":"1.0.0"`)
				rig.Contains(t, string(get(t, r, npmPath+"/"+spelling+"/latest")), `"version":"1.0.0"`)
				for _, file := range []string{"/-/widget-1.0.0.tgz", "/-/@acme/widget-1.0.0.tgz", "/-/@acme%2fwidget-1.0.0.tgz"} {
					rig.Equal(t, file, sum(get(t, r, npmPath+"/"+spelling+file)), sum(tarball))
				}
				tags := npmPath + "/-/package/" + spelling + "/dist-tags"
				rig.Contains(t, string(get(t, r, tags)), `"latest":"1.0.0"`)
				res, body := r.Do(t, http.MethodPut, tags+"/beta", jsonHeader(), []byte(`"1.0.0"`))
				if res.StatusCode/100 != 2 {
					t.Errorf("PUT of a tag: %s: %s", res.Status, body)
				}
				rig.Contains(t, string(get(t, r, tags)), `"beta":"1.0.0"`)
				res, body = r.Do(t, http.MethodDelete, tags+"/beta", nil, nil)
				if res.StatusCode/100 != 2 {
					t.Errorf("DELETE of a tag: %s: %s", res.Status, body)
				}
			})
		}
		t.Run("the tarball's URL follows the external URL, with its prefix, behind https", func(t *testing.T) {
			behind := rig.Start(t, packhouse.Options{Env: []string{"PACKHOUSE_EXTERNAL_URL=https://packages.example.com"}})
			npmPut(t, behind, "@acme/widget", "1.0.0", "latest")
			rig.Equal(t, "tarball", getPackument(t, behind, "@acme%2fwidget").Versions["1.0.0"].Dist.Tarball,
				"https://packages.example.com/acme/npm/@acme/widget/-/widget-1.0.0.tgz")
			forwarded := rig.Start(t, packhouse.Options{Env: []string{"PACKHOUSE_TRUSTED_PROXIES=127.0.0.1"}})
			npmPut(t, forwarded, "@acme/widget", "1.0.0", "latest")
			body, _ := ask(t, forwarded, http.MethodGet, npmPath+"/@acme%2fwidget", http.Header{"X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"packages.example.org"}}, nil, http.StatusOK)
			rig.Equal(t, "forwarded", rig.Decode[packument](t, string(body)).Versions["1.0.0"].Dist.Tarball,
				"https://packages.example.org/acme/npm/@acme/widget/-/widget-1.0.0.tgz")
		})
		t.Run("_rev is there and changes with each write", func(t *testing.T) {
			before := getPackument(t, r, "@acme%2fwidget").Rev
			npmPut(t, r, "@acme/widget", "1.1.0", "latest")
			after := getPackument(t, r, "@acme%2fwidget?write=true").Rev
			if before == "" || after == "" || before == after {
				t.Errorf("_rev is %q, then %q, want two different ones", before, after)
			}
		})
		t.Run("unpublish of one version of a scoped package, then of the last", func(t *testing.T) { unpublishes(t, r) })
		t.Run("publish with a provenance attachment", func(t *testing.T) { publishesProvenance(t, r) })
		t.Run("deprecate, and undeprecate with an empty text", func(t *testing.T) {
			npmPut(t, r, "old", "1.0.0", "latest")
			for _, text := range []string{"use new", ""} {
				whole := string(get(t, r, npmPath+"/old?write=true"))
				changed := strings.Replace(whole, `"version":"1.0.0"`, fmt.Sprintf(`"deprecated":%q,"version":"1.0.0"`, text), 1)
				if text == "" {
					changed = strings.Replace(whole, `"deprecated":"use new"`, `"deprecated":""`, 1)
				}
				if changed == whole {
					t.Fatalf("nothing to change in %s", whole)
				}
				ask(t, r, http.MethodPut, npmPath+"/old", jsonHeader(), []byte(changed), http.StatusCreated)
				rig.Equal(t, "deprecated", getPackument(t, r, "old").Versions["1.0.0"].Deprecated, text)
				if text == "" && strings.Contains(string(get(t, r, npmPath+"/old")), "deprecated") {
					t.Error("the field is still there")
				}
			}
		})
		t.Run("a first publish under another tag still gives latest", func(t *testing.T) {
			npmPut(t, r, "first", "2.0.0-beta.1", "next")
			tags := getPackument(t, r, "first").Tags
			rig.Equal(t, "latest", tags["latest"], "2.0.0-beta.1")
			rig.Equal(t, "next", tags["next"], "2.0.0-beta.1")
		})
		t.Run("time is in both documents", func(t *testing.T) {
			for _, accept := range []string{"application/json", "application/vnd.npm.install-v1+json"} {
				body, header := ask(t, r, http.MethodGet, npmPath+"/@acme%2fwidget", http.Header{"Accept": {accept}}, nil, http.StatusOK)
				if !strings.HasPrefix(header.Get("Content-Type"), accept) {
					t.Errorf("asked for %s, got %s", accept, header.Get("Content-Type"))
				}
				rig.Contains(t, header.Get("Vary"), "Accept")
				times := rig.Decode[packument](t, string(body)).Time
				if times["1.0.0"] == "" {
					t.Errorf("%s has no time of 1.0.0: %v", accept, times)
				}
				rig.Equal(t, "with If-None-Match", conditional(t, r, npmPath+"/@acme%2fwidget", header.Get("ETag"), accept), http.StatusNotModified)
			}
		})
		t.Run("packages called blobs, tags, manifests and uploads", func(t *testing.T) {
			for _, name := range []string{"blobs", "tags", "manifests", "uploads", "@acme/blobs", "@acme/manifests"} {
				npmPut(t, r, name, "1.0.0", "latest")
				repo := "acme/npm/" + strings.TrimPrefix(name, "@")
				m := r.Whole(t, repo, "1.0.0")
				rig.Equal(t, "artifact type", m.ArtifactType, "application/vnd.packhouse.npm.v1")
				rig.Contains(t, string(get(t, r, "/v2/"+repo+"/tags/list")), `"1.0.0"`)
				get(t, r, npmPath+"/"+name+"/-/"+path.Base(name)+"-1.0.0.tgz")
			}
		})
	})
}

// conditional is the status of a GET with a condition.
func conditional(t *testing.T, r *rig.Registry, path, etag, accept string) int {
	t.Helper()
	res, _ := r.Do(t, http.MethodGet, path, http.Header{"If-None-Match": {etag}, "Accept": {accept}}, nil)
	return res.StatusCode
}

// unpublishes walks npm's steps: PUT of the packument without the version, then DELETE of the tarball.
func unpublishes(t *testing.T, r *rig.Registry) {
	t.Helper()
	npmPut(t, r, "@acme/gone", "1.0.0", "latest")
	npmPut(t, r, "@acme/gone", "2.0.0", "latest")
	whole := rig.Decode[map[string]any](t, string(get(t, r, npmPath+"/@acme%2fgone?write=true")))
	delete(whole["versions"].(map[string]any), "2.0.0")
	whole["dist-tags"] = map[string]any{"latest": "1.0.0"}
	rev := whole["_rev"].(string)
	ask(t, r, http.MethodPut, npmPath+"/@acme%2fgone/-rev/"+rev, jsonHeader(), []byte(jsonOf(t, whole)), http.StatusCreated)
	p := getPackument(t, r, "@acme%2fgone?write=true")
	rig.Equal(t, "versions", len(p.Versions), 1)
	// With a path prefix npm has sent the prefix twice; the version is gone already, either way.
	res, body := r.Do(t, http.MethodDelete, npmPath+"/@acme/gone/-/gone-2.0.0.tgz/-rev/"+p.Rev, nil, nil)
	if res.StatusCode >= http.StatusInternalServerError || res.StatusCode == http.StatusConflict {
		t.Errorf("DELETE of the tarball: %s: %s", res.Status, body)
	}
	r.Gone(t, npmPath+"/@acme/gone/-/gone-2.0.0.tgz")
	get(t, r, npmPath+"/@acme/gone/-/gone-1.0.0.tgz")
	rev = getPackument(t, r, "@acme%2fgone?write=true").Rev
	res, body = r.Do(t, http.MethodDelete, npmPath+"/@acme%2fgone/-rev/"+rev, nil, nil)
	if res.StatusCode/100 != 2 {
		t.Fatalf("DELETE of the package: %s: %s", res.Status, body)
	}
	r.Gone(t, npmPath+"/@acme%2fgone")
	// Gitea answered 500 to what follows.
	npmPut(t, r, "@acme/gone", "3.0.0", "latest")
	res, body = r.Do(t, http.MethodPut, npmPath+"/@acme%2fgone", jsonHeader(), npmBody("@acme/gone", "2.0.0", "latest",
		tarGzip(t, "package/package.json", `{"name":"@acme/gone","version":"2.0.0","description":"other"}`), ""))
	rig.Equal(t, "publish of a withdrawn version with other bytes: "+string(body), res.StatusCode, http.StatusForbidden)
}

// publishesProvenance attaches a bundle as npm does: plain JSON text beside the tarball in base64.
func publishesProvenance(t *testing.T, r *rig.Registry) {
	t.Helper()
	tarball := npmTarball(t, "proven", "1.0.0")
	long := sha512.Sum512(tarball)
	statement := fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"pkg:npm/proven@1.0.0","digest":{"sha512":"%s"}}],`+
		`"predicateType":"https://slsa.dev/provenance/v1","predicate":{}}`, hex.EncodeToString(long[:]))
	bundle := fmt.Sprintf(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"k"}},`+
		`"dsseEnvelope":{"payload":%q,"payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"MEUCIQ==","keyid":""}]}}`,
		base64.StdEncoding.EncodeToString([]byte(statement)))
	more := fmt.Sprintf(`,"proven-1.0.0.sigstore":{"content_type":"application/vnd.dev.sigstore.bundle.v0.3+json","data":%q,"length":%d}`, bundle, len(bundle))
	ask(t, r, http.MethodPut, npmPath+"/proven", jsonHeader(), npmBody("proven", "1.0.0", "latest", tarball, more), http.StatusCreated)
	url := getPackument(t, r, "proven").Versions["1.0.0"].Dist.Attestations.URL
	if !strings.HasPrefix(url, feed(r, "npm")+"/-/npm/v1/attestations/") {
		t.Fatalf("the attestations' URL is %q", url)
	}
	served := rig.Decode[struct {
		Attestations []struct{ PredicateType string }
	}](t, string(get(t, r, strings.TrimPrefix(url, r.URL))))
	if len(served.Attestations) != 1 || served.Attestations[0].PredicateType != "https://slsa.dev/provenance/v1" {
		t.Errorf("served: %+v", served)
	}
}
