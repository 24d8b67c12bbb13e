package packages

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packhouse/packhouse/conformance/rig"
)

// npmClient is one client of npm feeds.
type npmClient struct {
	client

	command []string
	publish func(t *testing.T, c npmClient, r *rig.Registry, dir string) (string, error)
	add     []string // sub-command that installs what package.json names
	again   []string // that installs what the lock file names, and nothing else
	lock    string
}

func npmClients(t *testing.T) []npmClient {
	t.Helper()
	node, _ := rig.Tool(t, "node")
	named := func(name, tool string, js bool) npmClient {
		path, version := rig.Tool(t, tool)
		c := npmClient{client: client{"npm", name, version}, command: []string{path}, publish: plainPublish}
		if js {
			c.command = []string{node, path}
		}
		return c
	}
	npm, pnpm, yarn1, yarn4, bun := named("npm", "npm", true), named("pnpm", "pnpm", false), named("Yarn 1", "yarn1", true),
		named("Yarn 4", "yarn4", true), named("bun", "bun", false)
	npm.add, npm.again, npm.lock = []string{"install"}, []string{"ci"}, "package-lock.json"
	pnpm.add, pnpm.again, pnpm.lock = []string{"install", "--no-frozen-lockfile"}, []string{"install", "--frozen-lockfile"}, "pnpm-lock.yaml"
	pnpm.publish = func(t *testing.T, c npmClient, r *rig.Registry, dir string) (string, error) {
		t.Helper()
		return c.try(t, r, dir, "publish", "--no-git-checks")
	}
	yarn1.add, yarn1.again, yarn1.lock = []string{"install", "--no-progress"}, []string{"install", "--no-progress", "--frozen-lockfile"}, "yarn.lock"
	yarn1.publish = func(t *testing.T, c npmClient, r *rig.Registry, dir string) (string, error) {
		t.Helper()
		return c.try(t, r, dir, "publish", "--non-interactive")
	}
	yarn4.add, yarn4.again, yarn4.lock = []string{"install", "--no-immutable"}, []string{"install", "--immutable"}, "yarn.lock"
	yarn4.publish = func(t *testing.T, c npmClient, r *rig.Registry, dir string) (string, error) {
		t.Helper()
		r.File(t, filepath.Join(dir, "yarn.lock"), nil) // else Yarn looks for a project above
		c.in(t, r, dir, "install", "--no-immutable")
		return c.try(t, r, dir, "npm", "publish")
	}
	bun.add, bun.again, bun.lock = []string{"install"}, []string{"install", "--frozen-lockfile"}, "bun.lock"
	return []npmClient{npm, pnpm, yarn1, yarn4, bun}
}

// npmHome is a home in which every client is set to the feed, with the token that npm insists on.
func npmHome(t *testing.T, r *rig.Registry) *rig.Registry {
	t.Helper()
	home := r.In(t)
	setNPM(t, home)
	return home
}

func setNPM(t *testing.T, r *rig.Registry) {
	t.Helper()
	node, _ := rig.Tool(t, "node")
	for i, v := range r.Env {
		if path, ok := strings.CutPrefix(v, "PATH="); ok {
			r.Env[i] = "PATH=" + filepath.Dir(node) + ":" + path // for life cycle scripts
		}
	}
	r.Env = append(r.Env, "CI=true", "COREPACK_ENABLE_STRICT=0", "YARN_IGNORE_PATH=1", "DO_NOT_TRACK=1",
		"pnpm_config_minimum_release_age=0") // what the tests publish is minutes old
	below := "//" + r.Host + "/" + namespace + "/npm/"
	npmrc := fmt.Sprintf("registry=%s/\n%s:_authToken=token\nfetch-retries=0\nupdate-notifier=false\n", feed(r, "npm"), below)
	yarn4 := fmt.Sprintf("npmRegistryServer: %q\nunsafeHttpWhitelist: [\"127.0.0.1\"]\nnpmAuthToken: token\nnpmAlwaysAuth: true\n"+
		"npmMinimalAgeGate: 0\nenableGlobalCache: false\nenableTelemetry: false\nnodeLinker: node-modules\nhttpRetry: 0\n", feed(r, "npm"))
	if r.TLS() {
		r.Env = append(r.Env, "NODE_EXTRA_CA_CERTS="+r.CACert)
		npmrc += "cafile=" + r.CACert + "\n"
		yarn4 += fmt.Sprintf("httpsCaFilePath: %q\n", r.CACert)
	}
	r.File(t, ".npmrc", []byte(npmrc))
	r.File(t, ".yarnrc", []byte(fmt.Sprintf("registry %q\nalways-auth true\n", feed(r, "npm")+"/")))
	r.File(t, ".yarnrc.yml", []byte(yarn4))
}

// try runs the client in a directory below the home.
func (c npmClient) try(t *testing.T, r *rig.Registry, dir string, args ...string) (string, error) {
	t.Helper()
	sub := *r
	sub.Home = filepath.Join(r.Home, dir)
	return sub.Try(t, append(append([]string{}, c.command...), args...)...)
}

// in is try that must succeed.
func (c npmClient) in(t *testing.T, r *rig.Registry, dir string, args ...string) string {
	t.Helper()
	out, err := c.try(t, r, dir, args...)
	if err != nil {
		t.Fatalf("%s %s: %v", c.name, strings.Join(args, " "), err)
	}
	return out
}

func plainPublish(t *testing.T, c npmClient, r *rig.Registry, dir string) (string, error) {
	t.Helper()
	return c.try(t, r, dir, "publish")
}

// mustPublish publishes the package in dir.
func (c npmClient) mustPublish(t *testing.T, r *rig.Registry, dir string) {
	t.Helper()
	if _, err := c.publish(t, c, r, dir); err != nil {
		t.Fatalf("%s publish: %v", c.name, err)
	}
}

// npmPackage writes a package into dir whose main exports its own name and those of its dependencies.
func npmPackage(t *testing.T, r *rig.Registry, dir, name, version, dependencies string) {
	t.Helper()
	if dependencies == "" {
		dependencies = "{}"
	}
	r.File(t, filepath.Join(dir, "package.json"), []byte(fmt.Sprintf(
		`{"name":%q,"version":%q,"description":"A test package.","license":"MIT","main":"index.js","files":["index.js"],"dependencies":%s}`,
		name, version, dependencies)))
	r.File(t, filepath.Join(dir, "index.js"), []byte(fmt.Sprintf(
		"const d = Object.keys(require('./package.json').dependencies || {});\nmodule.exports = [%q, ...d.flatMap((n) => require(n))];\n", name+"@"+version)))
}

// npmProject writes a project that depends on the given packages and prints what they export.
func npmProject(t *testing.T, r *rig.Registry, dependencies string) {
	t.Helper()
	r.File(t, "project/package.json", []byte(`{"name":"project","version":"1.0.0","private":true,"dependencies":`+dependencies+`}`))
	r.File(t, "project/main.js", []byte("console.log(Object.keys(require('./package.json').dependencies).flatMap((n) => require(n)).join(' '))\n"))
	r.File(t, "project/yarn.lock", nil)
	r.File(t, "project/.npmrc", r.Read(t, ".npmrc")) // bun reads the project's alone
}

func runProject(t *testing.T, r *rig.Registry) string {
	t.Helper()
	node, _ := rig.Tool(t, "node")
	return r.Run(t, node, "project/main.js")
}

func TestNPM(t *testing.T) {
	t.Parallel()
	t.Run("HTTP", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		clients := npmClients(t)
		home := npmHome(t, r)
		npmPackage(t, home, "gadget", "@acme/gadget", "1.0.0", "")
		npmPackage(t, home, "sprocket", "sprocket", "2.1.0", `{"@acme/gadget":"^1.0.0"}`)
		clients[0].mustPublish(t, home, "gadget")
		clients[0].mustPublish(t, home, "sprocket")
		published := map[string]string{}
		var wants []string
		for _, c := range clients {
			c.use(t, "publish", func(t *testing.T) {
				name := "@acme/by-" + strings.ReplaceAll(strings.ToLower(c.name), " ", "")
				home := npmHome(t, r)
				npmPackage(t, home, "made", name, "1.0.0", `{"sprocket":"^2.0.0"}`)
				c.mustPublish(t, home, "made")
				published[name] = "1.0.0"
				wants = append(wants, name+"@1.0.0")
			})
			c.use(t, "publish of other bytes under the same version is refused in our words", func(t *testing.T) {
				home := npmHome(t, r)
				npmPackage(t, home, "made", "@acme/gadget", "1.0.0", `{"sprocket":"*"}`)
				out, err := c.publish(t, c, home, "made")
				if err == nil {
					t.Fatal("it succeeded")
				}
				rig.Contains(t, out, "previously published")
			})
		}
		dependencies := jsonOf(t, published)
		t.Run("install", func(t *testing.T) {
			for _, c := range clients {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					home := npmHome(t, r)
					npmProject(t, home, dependencies)
					c.use(t, "install what each other client published", func(t *testing.T) {
						c.in(t, home, "project", c.add...)
						rig.Contains(t, runProject(t, home), append(wants, "sprocket@2.1.0", "@acme/gadget@1.0.0")...)
					})
					c.use(t, "install by the lock file", func(t *testing.T) {
						again := npmHome(t, r)
						npmProject(t, again, dependencies)
						again.File(t, filepath.Join("project", c.lock), home.Read(t, filepath.Join("project", c.lock)))
						c.in(t, again, "project", c.again...)
						rig.Contains(t, runProject(t, again), wants...)
					})
					c.use(t, "publish and install over TLS", func(t *testing.T) {
						secure := startTLS(t)
						home := npmHome(t, secure)
						npmPackage(t, home, "made", "@acme/secure", "1.0.0", "")
						c.mustPublish(t, home, "made")
						home = npmHome(t, secure)
						npmProject(t, home, `{"@acme/secure":"*"}`)
						c.in(t, home, "project", c.add...)
						rig.Contains(t, runProject(t, home), "@acme/secure@1.0.0")
					})
				})
			}
		})
	})
}

// TestNPMCommands is what npm alone does.
func TestNPMCommands(t *testing.T) {
	t.Parallel()
	t.Run("HTTP", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		npm := npmClients(t)[0]
		home := npmHome(t, r)
		run := func(t *testing.T, args ...string) string {
			t.Helper()
			return npm.in(t, home, ".", args...)
		}
		publish := func(t *testing.T, name, version string, args ...string) {
			t.Helper()
			npmPackage(t, home, "made", name, version, "")
			npm.in(t, home, "made", append([]string{"publish"}, args...)...)
		}
		npm.use(t, "view, and first publish under another tag", func(t *testing.T) {
			publish(t, "@acme/tool", "1.0.0", "--tag=next")
			rig.Equal(t, "latest", strings.TrimSpace(run(t, "view", "@acme/tool", "dist-tags.latest")), "1.0.0")
			rig.Equal(t, "next", strings.TrimSpace(run(t, "view", "@acme/tool", "dist-tags.next")), "1.0.0")
			publish(t, "@acme/tool", "1.1.0")
			rig.Equal(t, "latest", strings.TrimSpace(run(t, "view", "@acme/tool", "version")), "1.1.0")
			rig.Equal(t, "by tag", strings.TrimSpace(run(t, "view", "@acme/tool@next", "version")), "1.0.0")
			rig.Contains(t, run(t, "view", "@acme/tool", "time", "--json"), `"1.0.0"`, `"1.1.0"`)
		})
		npm.use(t, "dist-tag add, ls, rm", func(t *testing.T) {
			run(t, "dist-tag", "add", "@acme/tool@1.0.0", "stable")
			rig.Contains(t, run(t, "dist-tag", "ls", "@acme/tool"), "stable: 1.0.0", "latest: 1.1.0")
			run(t, "dist-tag", "rm", "@acme/tool", "stable")
			if out := run(t, "dist-tag", "ls", "@acme/tool"); strings.Contains(out, "stable") {
				t.Errorf("the tag is still there: %s", out)
			}
		})
		npm.use(t, "deprecate and undeprecate", func(t *testing.T) {
			run(t, "deprecate", "@acme/tool@1.0.0", "use 1.1")
			rig.Contains(t, run(t, "view", "@acme/tool@1.0.0", "deprecated"), "use 1.1")
			rig.Equal(t, "other version", run(t, "view", "@acme/tool@1.1.0", "deprecated"), "")
			run(t, "deprecate", "@acme/tool@1.0.0", "")
			rig.Equal(t, "undeprecated", run(t, "view", "@acme/tool@1.0.0", "deprecated"), "")
		})
		npm.use(t, "unpublish of a version and of a package", func(t *testing.T) {
			run(t, "unpublish", "@acme/tool@1.0.0")
			if left := run(t, "view", "@acme/tool", "versions", "--json"); !strings.Contains(left, "1.1.0") || strings.Contains(left, "1.0.0") {
				t.Errorf("left: %s, want 1.1.0 alone", left)
			}
			npmPackage(t, home, "made", "@acme/tool", "1.0.0", `{"other":"*"}`)
			if out, err := npm.try(t, home, "made", "publish", "--tag=old"); err == nil {
				t.Errorf("an unpublished version was published again: %s", out)
			}
			run(t, "unpublish", "@acme/tool", "--force")
			if out, err := npm.try(t, home, ".", "view", "@acme/tool"); err == nil {
				t.Errorf("it is still there: %s", out)
			}
			publish(t, "@acme/tool", "2.0.0")
			rig.Equal(t, "after", strings.TrimSpace(run(t, "view", "@acme/tool", "version")), "2.0.0")
		})
		npm.use(t, "search", func(t *testing.T) {
			publish(t, "needle-in-hay", "1.0.0")
			rig.Contains(t, run(t, "search", "needle", "--json"), `"name":"needle-in-hay"`)
		})
		npm.use(t, "ping, whoami, access, owner, token list", func(t *testing.T) {
			rig.Contains(t, run(t, "ping", "--json"), feed(r, "npm"))
			run(t, "whoami")
			run(t, "owner", "ls", "@acme/tool")
			run(t, "access", "get", "status", "@acme/tool")
			run(t, "token", "list")
		})
		npm.use(t, "audit", func(t *testing.T) {
			npmProject(t, home, `{"@acme/tool":"^2.0.0"}`)
			npm.in(t, home, "project", "install")
			rig.Contains(t, npm.in(t, home, "project", "audit"), "found 0 vulnerabilities")
		})
		npm.use(t, "registry signatures, checked by the pacote that npm brings", func(t *testing.T) {
			checkNPMSignature(t, home, npm, "@acme/tool@2.0.0")
		})
		npm.use(t, "login by name and password, logout", func(t *testing.T) {
			fresh := r.In(t)
			setNPM(t, fresh)
			// npm asks for the password on a terminal; this is the library by which it logs in.
			fresh.File(t, "login.js", []byte(fmt.Sprintf(`
const profile = require(%q);
profile.adduserCouch('someone', 'someone@example.com', 'secret', { registry: %q }).then((r) => console.log('token', typeof r.token, r.token));
`, npmLibrary(npm, "npm-profile"), feed(r, "npm")+"/")))
			token, ok := strings.CutPrefix(strings.TrimSpace(fresh.Run(t, npm.command[0], "login.js")), "token string ")
			if !ok || token == "" {
				t.Fatalf("got %q, want a token", token)
			}
			fresh.File(t, ".npmrc", []byte(fmt.Sprintf("registry=%s/\n//%s/%s/npm/:_authToken=%s\n", feed(r, "npm"), r.Host, namespace, token)))
			npm.in(t, fresh, ".", "whoami")
			npm.in(t, fresh, ".", "logout")
			if left := string(fresh.Read(t, ".npmrc")); strings.Contains(left, token) {
				t.Errorf("npm kept the token: %s", left)
			}
		})
	})
}

// npmLibrary is the path of a library that npm brings.
func npmLibrary(npm npmClient, name string) string {
	return filepath.Join(filepath.Dir(filepath.Dir(npm.command[1])), "node_modules", name)
}

// checkNPMSignature verifies the registry's signature of a version by npm's own library, with the key that the registry
// serves. `npm audit signatures` itself first asks a service on the internet for keys.
func checkNPMSignature(t *testing.T, r *rig.Registry, npm npmClient, spec string) {
	t.Helper()
	keys := rig.Decode[struct {
		Keys []struct{ Keyid, Keytype, Scheme, Key string }
	}](t, string(get(t, r, "/"+namespace+"/npm/-/npm/v1/keys"))).Keys
	if len(keys) == 0 {
		t.Fatal("the registry serves no key")
	}
	script := fmt.Sprintf(`
const pacote = require(%q);
const keys = %s.map((k) => ({ ...k, expires: null, pemkey: '-----BEGIN PUBLIC KEY-----\n' + k.key + '\n-----END PUBLIC KEY-----' }));
const registry = %q;
const options = { registry, verifySignatures: true, [registry.replace(/^https?:/, '') + ':_keys']: keys, cache: './cache' };
pacote.manifest(%q, options).then((m) => {
  if (!m._signatures || m._signatures.length === 0) throw new Error('the version has no signature');
  const broken = { ...options, cache: './cache2', [registry.replace(/^https?:/, '') + ':_keys']: keys.map((k) => ({ ...k, keyid: 'SHA256:other' })) };
  return pacote.manifest(%q, broken).then(() => { throw new Error('another key verified it'); }, (e) => {
    if (e.code !== 'EMISSINGSIGNATUREKEY') throw e;
    console.log('verified', m._id);
  });
}).catch((e) => { console.error(e); process.exit(1); });
`, npmLibrary(npm, "pacote"), jsonOf(t, lowerKeys(keys)), feed(r, "npm")+"/", spec, spec)
	r.File(t, "verify.js", []byte(script))
	rig.Contains(t, r.Run(t, npm.command[0], "verify.js"), "verified "+spec)
}

func lowerKeys(keys []struct{ Keyid, Keytype, Scheme, Key string }) []map[string]string {
	var list []map[string]string
	for _, k := range keys {
		list = append(list, map[string]string{"keyid": k.Keyid, "keytype": k.Keytype, "scheme": k.Scheme, "key": k.Key})
	}
	return list
}

func npmEcosystem() ecosystem {
	return ecosystem{
		name: "npm", artifactType: "application/vnd.packhouse.npm.v1",
		pack: func(t *testing.T, r *rig.Registry, version string) artifact {
			t.Helper()
			home := npmHome(t, r)
			npmPackage(t, home, "made", "@acme/widget", version, "")
			npmClients(t)[0].in(t, home, "made", "pack", "--pack-destination="+r.Home)
			return artifact{
				pkg: "@acme/widget", version: version, repo: "acme/npm/acme/widget", tag: version,
				files: []string{"acme-widget-" + version + ".tgz"}, mediaTypes: []string{"application/gzip"},
			}
		},
		publish: func(t *testing.T, r *rig.Registry, a artifact) {
			t.Helper()
			home := npmHome(t, r)
			home.File(t, a.files[0], r.Read(t, a.files[0]))
			npmClients(t)[0].in(t, home, ".", "publish", a.files[0])
		},
		install: func(t *testing.T, r *rig.Registry, a artifact) map[string][]byte {
			t.Helper()
			npm, home := npmClients(t)[0], npmHome(t, r)
			npmProject(t, home, jsonOf(t, map[string]string{a.pkg: a.version}))
			npm.in(t, home, "project", "install")
			rig.Contains(t, runProject(t, home), a.pkg+"@"+a.version)
			home = npmHome(t, r)
			npm.in(t, home, ".", "pack", a.pkg+"@"+a.version)
			return map[string][]byte{a.files[0]: home.Read(t, a.files[0])}
		},
	}
}
