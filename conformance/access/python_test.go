package access

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"testing"

	"github.com/packhouse/packhouse/conformance/rig"
	"github.com/packhouse/packhouse/conformance/tools"
)

// index is the URL of a namespace's PyPI feed, without a trailing slash.
func index(a actor, namespace string) string { return a.URL + "/" + namespace + "/pypi" }

// TestTwine publishes by ~/.pypirc, and reads by pip and ~/.netrc.
func TestTwine(t *testing.T) {
	pip, pipVersion := rig.Tool(t, "pip")
	twine, version := rig.Tool(t, "twine")
	tell(t, client{
		name: "twine and pip", version: version + " and " + pipVersion, byToken: true,
		setUp: func(t *testing.T, a actor) {
			t.Helper()
			a.Registry.Env = append(a.Env, "PIP_RETRIES=0", "PIP_DISABLE_PIP_VERSION_CHECK=1", "PIP_NO_INPUT=1", "PIP_CONFIG_FILE=/dev/null",
				"PYTHON_KEYRING_BACKEND=keyring.backends.null.Keyring", "LANG=C.UTF-8", "NO_COLOR=1", "COLUMNS=1000")
			netrc(t, a)
			rc := "[distutils]\nindex-servers =\n  acme\n  secret\n"
			for _, namespace := range []string{own, foreign} {
				rc += fmt.Sprintf("[%s]\nrepository = %s/\n", namespace, index(a, namespace))
				if a.user != "" {
					rc += fmt.Sprintf("username = __token__\npassword = %s\n", a.secret)
				}
			}
			a.File(t, ".pypirc", []byte(rc))
		},
		publish: func(t *testing.T, a actor, namespace, version string) command {
			t.Helper()
			return command{argv: []string{twine, "upload", "--non-interactive", "--disable-progress-bar", "-r", namespace, wheel(t, a, version)}}
		},
		read: func(_ *testing.T, a actor, namespace, version string) command {
			return command{argv: []string{
				pip, "download", "--no-deps", "--no-cache-dir", "--progress-bar=off", "-d", "pulled", "--index-url=" + index(a, namespace) + "/simple/", "tool==" + version,
			}}
		},
	})
}

// TestPip reads with credentials in the URL, and publishes by twine with those in the environment.
func TestPip(t *testing.T) {
	pip, version := rig.Tool(t, "pip")
	twine, _ := rig.Tool(t, "twine")
	tell(t, client{
		name: "pip", version: version,
		setUp: func(_ *testing.T, a actor) {
			a.Registry.Env = append(a.Env, "PIP_RETRIES=0", "PIP_DISABLE_PIP_VERSION_CHECK=1", "PIP_NO_INPUT=1", "PIP_CONFIG_FILE=/dev/null",
				"PYTHON_KEYRING_BACKEND=keyring.backends.null.Keyring", "LANG=C.UTF-8", "NO_COLOR=1", "COLUMNS=1000")
			if a.user != "" {
				a.Registry.Env = append(a.Env, "TWINE_USERNAME="+a.user, "TWINE_PASSWORD="+a.secret)
			}
		},
		publish: func(t *testing.T, a actor, namespace, version string) command {
			t.Helper()
			return command{argv: []string{twine, "upload", "--non-interactive", "--disable-progress-bar", "--repository-url=" + index(a, namespace) + "/", wheel(t, a, version)}}
		},
		read: func(_ *testing.T, a actor, namespace, version string) command {
			from := index(a, namespace) + "/simple/"
			if a.user != "" {
				from = "http://" + a.user + ":" + a.secret + "@" + from[len("http://"):]
			}
			return command{argv: []string{pip, "download", "--no-deps", "--no-cache-dir", "--progress-bar=off", "-d", "pulled", "--index-url=" + from, "tool==" + version}}
		},
	})
}

func TestUV(t *testing.T) {
	uv, version := rig.Tool(t, "uv")
	tell(t, client{
		name: "uv", version: version, byToken: true,
		setUp: func(_ *testing.T, a actor) {
			a.Registry.Env = append(a.Env, "UV_PYTHON="+tools.Python, "UV_PYTHON_DOWNLOADS=never", "UV_NO_PROGRESS=1", "UV_HTTP_RETRIES=0", "NO_COLOR=1")
			if a.user != "" {
				a.Registry.Env = append(a.Env, "UV_PUBLISH_USERNAME="+a.user, "UV_PUBLISH_PASSWORD="+a.secret,
					"UV_INDEX_STORY_USERNAME="+a.user, "UV_INDEX_STORY_PASSWORD="+a.secret)
			}
		},
		publish: func(t *testing.T, a actor, namespace, version string) command {
			t.Helper()
			return command{argv: []string{uv, "publish", "--publish-url=" + index(a, namespace) + "/", wheel(t, a, version)}}
		},
		read: func(t *testing.T, a actor, namespace, version string) command {
			t.Helper()
			a.clear(t, "pulled")
			return command{argv: []string{
				uv, "pip", "install", "--no-deps", "--no-cache", "--target=pulled", "--default-index=story=" + index(a, namespace) + "/simple/", "tool==" + version,
			}}
		},
	})
}

// wheel writes the wheel of a version and returns its name.
func wheel(t *testing.T, a actor, version string) string {
	t.Helper()
	info := "tool-" + version + ".dist-info/"
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	record := ""
	add := func(name, content string) {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
		s := sha256.Sum256([]byte(content))
		record += fmt.Sprintf("%s,sha256=%s,%d\n", name, base64.RawURLEncoding.EncodeToString(s[:]), len(content))
	}
	add("tool.py", "version = "+fmt.Sprintf("%q", version)+"\n")
	add(info+"METADATA", "Metadata-Version: 2.1\nName: tool\nVersion: "+version+"\nSummary: A test package.\n")
	add(info+"WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
	add(info+"RECORD", record+info+"RECORD,,\n")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	name := "dist/tool-" + version + "-py3-none-any.whl"
	a.File(t, name, b.Bytes())
	return name
}
