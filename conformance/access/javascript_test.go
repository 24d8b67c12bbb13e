package access

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packhouse/packhouse/conformance/rig"
)

// setNode puts node on the PATH and writes ~/.npmrc with the token for every feed of the story.
func setNode(t *testing.T, a actor) {
	t.Helper()
	node, _ := rig.Tool(t, "node")
	for i, v := range a.Env {
		if path, ok := strings.CutPrefix(v, "PATH="); ok {
			a.Registry.Env[i] = "PATH=" + filepath.Dir(node) + ":" + path
		}
	}
	a.Registry.Env = append(a.Env, "CI=true", "NO_COLOR=1", "DO_NOT_TRACK=1", "COREPACK_ENABLE_STRICT=0", "pnpm_config_minimum_release_age=0")
	npmrc := "fetch-retries=0\nupdate-notifier=false\nfund=false\naudit=false\nloglevel=error\n"
	for _, namespace := range []string{own, foreign, nowhere} {
		if a.user != "" {
			npmrc += fmt.Sprintf("//%s/%s/npm/:_authToken=%s\n", a.Host, namespace, a.secret)
		}
	}
	a.File(t, ".npmrc", []byte(npmrc))
}

// npmFeed is the URL of a namespace's npm feed.
func npmFeed(a actor, namespace string) string { return a.URL + "/" + namespace + "/npm/" }

func npmPackage(t *testing.T, a actor, dir, name, version string) {
	t.Helper()
	a.File(t, filepath.Join(dir, "package.json"), []byte(fmt.Sprintf(`{"name":%q,"version":%q,"license":"MIT","main":"index.js"}`, name, version)))
	a.File(t, filepath.Join(dir, "index.js"), []byte("module.exports = 1\n"))
}

// npmProject writes a project that nothing was installed in.
func npmProject(t *testing.T, a actor) {
	t.Helper()
	a.clear(t, "project", "cache", ".yarn")
	a.File(t, "project/package.json", []byte(`{"name":"project","version":"1.0.0","private":true}`))
}

func TestNPM(t *testing.T) {
	node, _ := rig.Tool(t, "node")
	npm, version := rig.Tool(t, "npm")
	tell(t, client{
		name: "npm", version: version, byToken: true,
		setUp: setNode,
		publish: func(t *testing.T, a actor, namespace, version string) command {
			t.Helper()
			npmPackage(t, a, "made", "tool", version)
			return command{dir: "made", argv: []string{node, npm, "publish", "--registry=" + npmFeed(a, namespace)}}
		},
		read: func(t *testing.T, a actor, namespace, version string) command {
			t.Helper()
			npmProject(t, a)
			return command{dir: "project", argv: []string{node, npm, "install", "tool@" + version, "--cache=../cache", "--registry=" + npmFeed(a, namespace)}}
		},
	})
}

func TestPNPM(t *testing.T) {
	pnpm, version := rig.Tool(t, "pnpm")
	tell(t, client{
		name: "pnpm", version: version, byToken: true,
		setUp: setNode,
		publish: func(t *testing.T, a actor, namespace, version string) command {
			t.Helper()
			npmPackage(t, a, "made", "tool", version)
			return command{dir: "made", argv: []string{pnpm, "publish", "--no-git-checks", "--registry=" + npmFeed(a, namespace)}}
		},
		read: func(t *testing.T, a actor, namespace, version string) command {
			t.Helper()
			npmProject(t, a)
			return command{dir: "project", argv: []string{
				pnpm, "add", "tool@" + version, "--store-dir=../cache/store", "--config.cache-dir=../cache/metadata", "--registry=" + npmFeed(a, namespace),
			}}
		},
	})
}

func TestYarn(t *testing.T) {
	node, _ := rig.Tool(t, "node")
	yarn, version := rig.Tool(t, "yarn4")
	configure := func(t *testing.T, a actor, dir, namespace string) {
		t.Helper()
		rc := fmt.Sprintf("npmRegistryServer: %q\nunsafeHttpWhitelist: [\"127.0.0.1\"]\nnpmMinimalAgeGate: 0\nenableGlobalCache: false\n"+
			"enableTelemetry: false\nenableProgressBars: false\nenableTimers: false\nnodeLinker: node-modules\nhttpRetry: 0\n", npmFeed(a, namespace))
		if a.user != "" {
			rc += "npmAlwaysAuth: true\nnpmAuthToken: " + a.secret + "\n"
		}
		a.File(t, filepath.Join(dir, ".yarnrc.yml"), []byte(rc))
		a.File(t, filepath.Join(dir, "yarn.lock"), nil)
	}
	tell(t, client{
		name: "Yarn 4", version: version, byToken: true,
		setUp: func(t *testing.T, a actor) {
			t.Helper()
			setNode(t, a)
			a.Registry.Env = append(a.Env, "YARN_IGNORE_PATH=1")
		},
		publish: func(t *testing.T, a actor, namespace, version string) command {
			t.Helper()
			npmPackage(t, a, "made", "tool", version)
			configure(t, a, "made", namespace)
			a.must(t, command{dir: "made", argv: []string{node, yarn, "install", "--no-immutable"}})
			return command{dir: "made", argv: []string{node, yarn, "npm", "publish"}}
		},
		read: func(t *testing.T, a actor, namespace, version string) command {
			t.Helper()
			npmProject(t, a)
			configure(t, a, "project", namespace)
			return command{dir: "project", argv: []string{node, yarn, "add", "tool@" + version}}
		},
	})
}
