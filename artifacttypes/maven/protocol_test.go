package maven

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/artifacttypes/typetest"
	"github.com/packhouse/packhouse/registry"
)

// repository is a Maven repository that a test talks to.
type repository struct {
	t *testing.T
	*typetest.Place
}

func open(t *testing.T) repository {
	t.Helper()
	return repository{t, typetest.Open(t, Format{})}
}

// answer is a response without its body.
type answer struct {
	code   int
	status string
	header http.Header
}

func (r repository) send(method, path, body string, header ...string) (answer, string) {
	r.t.Helper()
	q, err := http.NewRequestWithContext(r.t.Context(), method, r.Base()+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		q.Header.Set(header[i], header[i+1])
	}
	res := r.Do(q)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer{res.StatusCode, res.Status, res.Header}, string(text)
}

// want sends a request and returns the body of the answer.
func (r repository) want(status int, method, path, body string, header ...string) string {
	r.t.Helper()
	res, text := r.send(method, path, body, header...)
	if res.code != status {
		r.t.Fatalf("%s %s: %s %s, want %d", method, path, res.status, text, status)
	}
	return text
}

func (r repository) versions(path string) []string {
	r.t.Helper()
	var list []string
	for line := range strings.Lines(r.want(http.StatusOK, "GET", path+"/maven-metadata.xml", "")) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "<version>"); ok {
			list = append(list, strings.TrimSuffix(v, "</version>"))
		}
	}
	return list
}

const lib = "/com/acme/lib"

func TestVersionIsListedWithItsPOM(t *testing.T) {
	t.Parallel()
	r := open(t)
	jar := string(zipped(t, "A.class", "a"))
	r.want(http.StatusCreated, "PUT", lib+"/1.0/lib-1.0.jar", jar)
	if got := r.want(http.StatusOK, "GET", lib+"/1.0/lib-1.0.jar", ""); got != jar {
		t.Errorf("%d bytes, want the jar's %d", len(got), len(jar))
	}
	r.want(http.StatusNotFound, "GET", lib+"/maven-metadata.xml", "")
	r.want(http.StatusNotFound, "GET", lib+"/1.0/lib-1.0.pom", "")
	r.want(http.StatusCreated, "PUT", lib+"/1.0/lib-1.0.pom", pomOf("com.acme", "lib", "1.0"))
	if diff := cmp.Diff([]string{"1.0"}, r.versions(lib)); diff != "" {
		t.Error(diff)
	}
}

func TestChecksumsAreThoseOfTheBytes(t *testing.T) {
	t.Parallel()
	r := open(t)
	files := map[string]string{
		lib + "/1.0/lib-1.0.pom":     pomOf("com.acme", "lib", "1.0"),
		lib + "/1.0/lib-1.0.jar.asc": "signature",
	}
	for path, content := range files {
		r.want(http.StatusCreated, "PUT", path, content)
	}
	r.want(http.StatusCreated, "PUT", lib+"/maven-metadata.xml", "<metadata>of the client</metadata>")
	r.want(http.StatusCreated, "PUT", lib+"/maven-metadata.xml.sha1", "of the client's")
	files[lib+"/maven-metadata.xml"] = r.want(http.StatusOK, "GET", lib+"/maven-metadata.xml", "")
	for path, content := range files {
		for _, algorithm := range []string{"md5", "sha1", "sha256", "sha512"} {
			want := digestOf(algorithm, []byte(content))
			if got := r.want(http.StatusOK, "GET", path+"."+algorithm, ""); got != want {
				t.Errorf("%s.%s: %s, want %s", path, algorithm, got, want)
			}
			r.want(http.StatusCreated, "PUT", path+"."+algorithm, strings.ToUpper(want)+"  name\n")
		}
		if got, want := r.want(http.StatusOK, "GET", path+".sha1.md5", ""), digestOf("md5", []byte(digestOf("sha1", []byte(content)))); got != want {
			t.Errorf("%s.sha1.md5: %s, want %s", path, got, want)
		}
		res, _ := r.send("HEAD", path, "")
		if got, want := res.header.Get("X-Checksum-Sha1"), digestOf("sha1", []byte(content)); got != want {
			t.Errorf("%s: header %q, want %s", path, got, want)
		}
	}
	text := r.want(http.StatusBadRequest, "PUT", lib+"/1.0/lib-1.0.pom.sha512", "beef")
	if !strings.Contains(text, "what is stored has") {
		t.Error(text)
	}
	// One for a file that is not there yet says nothing.
	r.want(http.StatusCreated, "PUT", lib+"/1.0/lib-1.0.jar.sha1", "beef")
	r.want(http.StatusNotFound, "GET", lib+"/1.0/lib-1.0.jar.sha1", "")
	r.want(http.StatusBadRequest, "PUT", lib+"/1.0/lib-1.0.txt", "x", "X-Checksum-Sha1", "beef")
	r.want(http.StatusCreated, "PUT", lib+"/1.0/lib-1.0.txt", "x", "X-Checksum-Sha1", digestOf("sha1", []byte("x")))
}

func TestReleasesDoNotChange(t *testing.T) {
	t.Parallel()
	r := open(t)
	path := lib + "/1.0+build.1/lib-1.0+build.1.pom"
	pom := pomOf("com.acme", "lib", "1.0+build.1")
	r.want(http.StatusCreated, "PUT", path, pom)
	r.want(http.StatusOK, "PUT", path, pom)
	r.want(http.StatusPreconditionFailed, "PUT", path, pom, "If-None-Match", "*")
	for _, other := range []string{pom + " ", strings.Replace(pom, "4.0.0", "4.1.0", 1)} {
		res, text := r.send("PUT", path, other)
		if res.code != http.StatusConflict || !strings.Contains(text, "publish another version") || res.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s", res.status, text)
		}
	}
	r.want(http.StatusBadRequest, "PUT", lib+"/2.0/lib-2.0.pom", pom)
	if got := r.want(http.StatusOK, "GET", path, ""); got != pom {
		t.Error(got)
	}
	// A 404 with Problem Details would be a failure of the repository to Maven 3.9.
	if res, _ := r.send("GET", lib+"/2.0/lib-2.0.pom", ""); res.code != http.StatusNotFound || !strings.HasPrefix(res.header.Get("Content-Type"), "text/plain") {
		t.Errorf("%s, %s", res.status, res.header.Get("Content-Type"))
	}
}

// A client that waits for 100 Continue must not send what is refused anyway.
func TestConflictsAreDecidedBeforeTheBody(t *testing.T) {
	t.Parallel()
	r := open(t)
	r.want(http.StatusCreated, "PUT", lib+"/1.0/lib-1.0.txt", "x")
	for path, want := range map[string]string{
		lib + "/1.0/lib-1.0.txt":     "409",
		lib + "/1.0/other.txt":       "400",
		lib + "/1.0/":                "405",
		lib + "/1.1:1/lib-1.1:1.jar": "400",
		lib + "/1.1/lib-1.1.txt":     "100",
	} {
		var d net.Dialer
		conn, err := d.DialContext(t.Context(), "tcp", strings.TrimPrefix(r.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\nExpect: 100-continue\r\n\r\n", "/acme/maven"+path)
		if err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || !strings.HasPrefix(line, "HTTP/1.1 "+want) {
			t.Errorf("%s: %q, %v, want %s", path, line, err, want)
		}
		_ = conn.Close()
	}
}

func TestParallelPutsAllWin(t *testing.T) {
	t.Parallel()
	r := open(t)
	const n = 16
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() {
			version := fmt.Sprintf("1.%d", i)
			r.send("PUT", fmt.Sprintf("%s/9.9/lib-9.9-c%d.txt", lib, i), version)
			r.send("PUT", lib+"/"+version+"/lib-"+version+".pom", pomOf("com.acme", "lib", version))
		})
	}
	wait.Wait()
	if got := r.versions(lib); len(got) != n || got[0] != "1.0" || got[n-1] != "1.15" {
		t.Errorf("versions %v", got)
	}
	for i := range n {
		r.want(http.StatusOK, "GET", fmt.Sprintf("%s/9.9/lib-9.9-c%d.txt", lib, i), "")
	}
}

func TestPluginPrefixes(t *testing.T) {
	t.Parallel()
	r := open(t)
	plugin := strings.Replace(pomOf("com.acme", "x-maven-plugin", "1"), "<groupId>", "<packaging>maven-plugin</packaging><groupId>", 1)
	r.want(http.StatusCreated, "PUT", "/com/acme/x-maven-plugin/1/x-maven-plugin-1.jar", string(zipped(t, pluginXML, pluginText)))
	r.want(http.StatusNotFound, "GET", "/com/acme/maven-metadata.xml", "")
	r.want(http.StatusCreated, "PUT", "/com/acme/x-maven-plugin/1/x-maven-plugin-1.pom", plugin)
	r.want(http.StatusCreated, "PUT", "/com/acme/maven-metadata.xml", "<metadata/>")
	got := r.want(http.StatusOK, "GET", "/com/acme/maven-metadata.xml", "")
	if !strings.Contains(got, "<prefix>aa</prefix>\n      <artifactId>x-maven-plugin</artifactId>") {
		t.Error(got)
	}
	if sum := r.want(http.StatusOK, "GET", "/com/acme/maven-metadata.xml.sha1", ""); sum != digestOf("sha1", []byte(got)) {
		t.Errorf("sha1 %s", sum)
	}
	r.want(http.StatusNotFound, "GET", "/com/maven-metadata.xml", "")
	// The path of the group is an artifact's, too.
	r.want(http.StatusCreated, "PUT", "/com/acme/2/acme-2.pom", pomOf("com", "acme", "2"))
	got = r.want(http.StatusOK, "GET", "/com/acme/maven-metadata.xml", "")
	if !strings.Contains(got, "<version>2</version>") || !strings.Contains(got, "<prefix>aa</prefix>") {
		t.Error(got)
	}
	r.want(http.StatusNoContent, "DELETE", "/com/acme/x-maven-plugin/1/", "")
	if got = r.want(http.StatusOK, "GET", "/com/acme/maven-metadata.xml", ""); strings.Contains(got, "prefix") {
		t.Errorf("a withdrawn plug-in is listed: %s", got)
	}
}

func TestDirectories(t *testing.T) {
	t.Parallel()
	r := open(t)
	for _, one := range []coords{{"com.acme", "lib", "1.9"}, {"com.acme", "lib", "1.10"}, {"com.acme.tools", "lib-x", "1"}, {"com.acme.tools.deep", "a", "1"}, {"com.acme-x", "b", "1"}, {"org", "c", "1"}} {
		dir := "/" + strings.ReplaceAll(one.Group, ".", "/") + "/" + one.Artifact + "/" + one.Version + "/"
		r.want(http.StatusCreated, "PUT", dir+one.stem()+".pom", pomOf(one.Group, one.Artifact, one.Version))
	}
	for path, want := range map[string][]string{
		"/":                                 {"com/", "org/"},
		"/com/":                             {"acme/", "acme-x/"},
		"/com/acme":                         {"lib/", "tools/"},
		"/com/acme/tools/":                  {"deep/", "lib-x/"},
		lib:                                 {"1.9/", "1.10/", "maven-metadata.xml"},
		lib + "/1.9/":                       {"lib-1.9.pom"},
		"/com/acme/tools/lib-x/1/":          {"lib-x-1.pom"},
		"/com/acme/tools/deep/a/1":          {"a-1.pom"},
		"/com/acme/tools/deep/a":            {"1/", "maven-metadata.xml"},
		"/com/acme-x/b/maven-metadata.xml/": nil,
	} {
		res, text := r.send("GET", path, "", "Accept", "application/json")
		if want == nil {
			if res.code != http.StatusNotFound {
				t.Errorf("%s: %s", path, res.status)
			}
			continue
		}
		var got struct{ Entries []listed }
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		var names []string
		for _, e := range got.Entries {
			names = append(names, e.Name)
		}
		if diff := cmp.Diff(want, names); diff != "" {
			t.Errorf("%s:\n%s", path, diff)
		}
	}
	page := r.want(http.StatusOK, "GET", lib+"/1.9", "", "Accept", "text/html,*/*")
	if !strings.Contains(page, `<a href="`+r.Base()+lib+`/1.9/lib-1.9.pom">lib-1.9.pom</a>`) {
		t.Error(page)
	}
	for _, path := range []string{"/com/nothing/", "/archetype-catalog.xml", "/.meta/prefixes.txt", lib + "/1.9/lib-1.9.jar", lib + "/2.0/"} {
		r.want(http.StatusNotFound, "GET", path, "")
		r.want(http.StatusNotFound, "HEAD", path, "")
	}
}

func TestDeleteWithdraws(t *testing.T) {
	t.Parallel()
	r := open(t)
	for _, version := range []string{"1", "2", "3"} {
		r.want(http.StatusCreated, "PUT", lib+"/"+version+"/lib-"+version+".pom", pomOf("com.acme", "lib", version))
		r.want(http.StatusCreated, "PUT", lib+"/"+version+"/lib-"+version+".pom.asc", "x")
	}
	for _, path := range []string{"/com/acme/", lib + "/maven-metadata.xml", lib + "/1/lib-1.pom.sha1", lib + "/1/lib-1.pom.asc"} {
		res, _ := r.send("DELETE", path, "")
		if res.code != http.StatusMethodNotAllowed || res.header.Get("Allow") == "" {
			t.Errorf("DELETE %s: %s", path, res.status)
		}
	}
	r.want(http.StatusNoContent, "DELETE", lib+"/1/", "")
	r.want(http.StatusNoContent, "DELETE", lib+"/2/lib-2.pom", "")
	r.want(http.StatusNotFound, "DELETE", lib+"/2", "")
	r.want(http.StatusNotFound, "GET", lib+"/1/lib-1.pom", "")
	if diff := cmp.Diff([]string{"3"}, r.versions(lib)); diff != "" {
		t.Error(diff)
	}
	r.want(http.StatusConflict, "PUT", lib+"/1/lib-1.pom", pomOf("com.acme", "lib", "1"))
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	for path, allowed := range map[string]string{
		"a/b/1/b-1.jar": "mixed release", "a/b/1-SNAPSHOT/b-1-SNAPSHOT.jar": "mixed snapshot",
		"a/b/1-SNAPSHOT/b-1-20261123.203355-1.jar":          "mixed snapshot",
		"a/b/1-20261123.203355-1/b-1-20261123.203355-1.jar": "",
	} {
		p, err := parsePath(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, policy := range []string{"mixed", "release", "snapshot"} {
			if err := p.checkPut(policy); (err == nil) != strings.Contains(allowed, policy) {
				t.Errorf("%s in a %s repository: %v", path, policy, err)
			}
		}
	}
	if checkPolicy("all") == nil || checkKeep("-1") == nil || checkKeep("x") == nil || checkPolicy("mixed") != nil || checkKeep("0") != nil {
		t.Error("settings are not checked")
	}
}

// A jar that oras pushed alone is a whole release, and stays one as it grows.
func TestLoneJarByOCI(t *testing.T) {
	t.Parallel()
	r := open(t)
	content := zipped(t, "META-INF/maven/g/a/pom.properties", propertiesText, "META-INF/maven/g/a/pom.xml", pomText)
	if err := r.Push("acme/maven/g/a", "1", []typetest.File{{Name: "app.jar", MediaType: "application/zip", Content: content}}, nil); err != nil {
		t.Fatal(err)
	}
	check := func() {
		t.Helper()
		if got := r.want(http.StatusOK, "GET", "/g/a/1/a-1.pom", ""); got != pomText {
			t.Error(got)
		}
		if got := r.want(http.StatusOK, "GET", "/g/a/1/a-1.pom.sha1", ""); got != digestOf("sha1", []byte(pomText)) {
			t.Error(got)
		}
		if got := r.want(http.StatusOK, "GET", "/g/a/1/a-1.jar", ""); got != string(content) {
			t.Error("another jar")
		}
		if diff := cmp.Diff([]string{"1"}, r.versions("/g/a")); diff != "" {
			t.Error(diff)
		}
	}
	check()
	r.want(http.StatusCreated, "PUT", "/g/a/1/a-1-sources.jar", string(zipped(t)))
	check()
	if _, err := r.Engine.Tagged(t.Context(), "acme/maven/g/a", registry.Tag("1")); err != nil {
		t.Error(err)
	}
}

// What Gradle sends, in its order: module metadata before the POM, and four
// checksums of everything, metadata included.
func TestGradleDeploy(t *testing.T) {
	t.Parallel()
	r := open(t)
	const module = `{"formatVersion":"1.1","component":{"group":"com.acme","module":"lib","version":"%s","attributes":{"org.gradle.status":"release"}},"createdBy":{"gradle":{"version":"8.10"}},"variants":[]}`
	files := [][2]string{
		{"/1.0/lib-1.0.jar", string(zipped(t, "A.class", "a"))},
		{"/1.0/lib-1.0.module", fmt.Sprintf(module, "1.0")},
		{"/1.0/lib-1.0.pom", pomOf("com.acme", "lib", "1.0")},
	}
	send := func(path, content string) {
		t.Helper()
		r.want(http.StatusCreated, "PUT", lib+path, content)
		for _, algorithm := range []string{"md5", "sha1", "sha256", "sha512"} {
			r.want(http.StatusCreated, "PUT", lib+path+"."+algorithm, digestOf(algorithm, []byte(content)))
		}
	}
	for _, f := range files {
		send(f[0], f[1])
	}
	r.want(http.StatusOK, "GET", lib+"/maven-metadata.xml", "")
	send("/maven-metadata.xml", "<metadata><versioning><versions><version>1.0</version></versions></versioning></metadata>")
	for _, f := range files {
		if got := r.want(http.StatusOK, "GET", lib+f[0], ""); got != f[1] {
			t.Errorf("%s: %q", f[0], got)
		}
	}
	if res, _ := r.send("HEAD", lib+"/1.0/lib-1.0.module", ""); res.header.Get("Content-Type") != "application/vnd.org.gradle.module+json" || res.header.Get("Last-Modified") == "" {
		t.Errorf("header %v", res.header)
	}
	text := r.want(http.StatusBadRequest, "PUT", lib+"/1.1/lib-1.1.module", fmt.Sprintf(module, "1.0"))
	if !strings.Contains(text, "published as com.acme:lib:1.1") {
		t.Error(text)
	}
}
