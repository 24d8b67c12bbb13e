package packages

import (
	"cmp"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/packhouse/packhouse/conformance/rig"
)

// realNPM are the packages that a project asks for; with what they depend on there are some hundreds.
const realNPM = `{"express":"^5","typescript":"^5","@types/node":"^24","@types/express":"^5","react":"^19","react-dom":"^19","lodash":"^4",
"axios":"^1","chalk":"^5","commander":"^14","debug":"^4","semver":"^7","uuid":"^11","zod":"^4","ws":"^8","yargs":"^18","glob":"^11",
"mocha":"^11","eslint":"^9","prettier":"^3","winston":"^3","pg":"^8","ioredis":"^5","chokidar":"^4","@babel/core":"^7"}`

// npmLock is what is read of a package-lock.json.
type npmLock struct {
	Packages map[string]struct{ Name, Version, Integrity string }
}

// versions are the lock's packages as NAME@VERSION with their integrity.
func (l npmLock) versions() map[string]string {
	list := map[string]string{}
	for path, p := range l.Packages {
		if i := strings.LastIndex(path, "node_modules/"); i >= 0 {
			list[cmp.Or(p.Name, path[i+len("node_modules/"):])+"@"+p.Version] = p.Integrity
		}
	}
	return list
}

// machine runs a program in dir with this process's own environment: as this machine is set up to reach registries.
func machine(t *testing.T, dir string, argv ...string) string {
	t.Helper()
	out, both, err := rig.Command(t, dir, os.Environ(), argv...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", argv[0], err, both)
	}
	return out
}

// TestRealNPM takes the packages of a project from the registry that npm is configured for, publishes each into
// Packhouse and installs the project from there alone.
func TestRealNPM(t *testing.T) {
	t.Parallel()
	t.Run("HTTP", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		outside := t.TempDir()
		fetched := fetchNPM(t, outside)
		t.Logf("%d packages", len(fetched))
		if len(fetched) < 150 {
			t.Fatalf("only %d packages came, want some hundreds", len(fetched))
		}
		clients := npmClients(t)
		npm, pnpm, bun := clients[0], clients[1], clients[4]
		// The packages that are asked for by name go through npm, the others by faster clients.
		asked := rig.Decode[map[string]string](t, realNPM)
		turns := make(chan string, len(fetched))
		for _, spec := range slices.Sorted(maps.Keys(fetched)) {
			turns <- spec
		}
		close(turns)
		t.Run("publish", func(t *testing.T) {
			for i, fast := range []npmClient{pnpm, bun} {
				t.Run(fast.name, func(t *testing.T) {
					t.Parallel()
					home := npmHome(t, r)
					home.File(t, "package.json", []byte(`{"name":"none","private":true}`)) // bun wants one beside the tarball
					for spec := range turns {
						tarball := filepath.Join(outside, fetched[spec])
						// A tag other than latest, since an older version may follow a newer one.
						args := []string{"publish", tarball, "--tag=real", "--access=public", "--registry=" + feed(r, "npm") + "/", "--ignore-scripts"}
						if _, byName := asked[spec[:strings.LastIndex(spec, "@")]]; !byName {
							if i == 0 {
								args = append(args, "--no-git-checks")
							}
							_, err := fast.try(t, home, ".", args...)
							if err == nil {
								continue
							}
							// Some name their registry in the package itself, which npm alone overrides.
						}
						npm.in(t, home, ".", append(args, "--provenance=false")...)
					}
				})
			}
		})
		want := rig.Decode[npmLock](t, string(readFile(t, filepath.Join(outside, "package-lock.json")))).versions()
		t.Run("install", func(t *testing.T) {
			npm.use(t, "resolve and install a project of real packages", func(t *testing.T) {
				home := npmHome(t, r)
				npmProject(t, home, realNPM)
				npm.in(t, home, "project", "install")
				got := rig.Decode[npmLock](t, string(home.Read(t, "project/package-lock.json"))).versions()
				for spec, integrity := range got {
					if integrity == "" || want[spec] != integrity {
						t.Errorf("%s: integrity %q, want the registry's own %q", spec, integrity, want[spec])
					}
				}
				// Where two versions fit, npm prefers the one that is latest, and this feed's latest is another.
				if len(got) < len(want)-5 {
					t.Errorf("%d packages are installed, want some %d", len(got), len(want))
				}
				home.File(t, "project/use.mjs", []byte("import express from 'express'; import ts from 'typescript'; import { z } from 'zod'; import _ from 'lodash';\n"+
					"console.log(typeof express(), ts.version, z.string().parse('parsed'), _.chunk([1, 2, 3], 2).length);\n"))
				rig.Contains(t, home.Run(t, npm.command[0], "project/use.mjs"), "function 5.", "parsed 2")
			})
			for _, c := range clients[1:] {
				c.use(t, "resolve and install a project of real packages", func(t *testing.T) {
					home := npmHome(t, r)
					npmProject(t, home, realNPM)
					c.in(t, home, "project", c.add...)
					home.File(t, "project/use.mjs", []byte("import express from 'express'; import { z } from 'zod'; console.log(typeof express(), z.string().parse('parsed'));\n"))
					rig.Contains(t, home.Run(t, npm.command[0], "project/use.mjs"), "function parsed")
				})
			}
		})
	})
}

// fetchNPM resolves the project outside and returns the tarballs' names, below dir, by NAME@VERSION.
func fetchNPM(t *testing.T, dir string) map[string]string {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "package.json"), []byte(`{"name":"project","version":"1.0.0","dependencies":`+realNPM+`}`), 0o600); err != nil {
		t.Fatal(err)
	}
	machine(t, dir, "npm", "install", "--package-lock-only", "--ignore-scripts", "--no-audit", "--no-fund")
	lock := rig.Decode[npmLock](t, string(readFile(t, filepath.Join(dir, "package-lock.json"))))
	specs := slices.Sorted(maps.Keys(lock.versions()))
	fetched := map[string]string{}
	var all sync.Mutex
	t.Run("fetch", func(t *testing.T) {
		for part := range slices.Chunk(specs, (len(specs)+3)/4) {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				// Names of tarballs are not unique (@a/b-c, @a-b/c): a directory for each part, and npm's own list.
				sub := filepath.Join(dir, sum([]byte(part[0])))
				if err := os.Mkdir(sub, 0o700); err != nil {
					t.Fatal(err)
				}
				out := machine(t, sub, append([]string{"npm", "pack", "--json", "--ignore-scripts"}, part...)...)
				for _, p := range rig.Decode[[]struct{ ID, Filename string }](t, out) {
					all.Lock()
					fetched[p.ID] = filepath.Join(filepath.Base(sub), p.Filename)
					all.Unlock()
				}
			})
		}
	})
	rig.Equal(t, "tarballs", len(fetched), len(specs))
	return fetched
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
