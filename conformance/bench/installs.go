package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// installTree installs the whole tree by npm, with and without a lock file, from empty caches.
func (b *bench) installTree(ctx context.Context, peers map[string]*peer, tree [][]npmPackage) error {
	npm, err := node("npm")
	if err != nil {
		return err
	}
	needs := map[string]string{}
	for i := range min(10, len(tree)) {
		needs[treeName(i)] = "^1.0.0"
	}
	project, err := json.Marshal(map[string]any{"name": "project", "version": "1.0.0", "private": true, "dependencies": needs})
	if err != nil {
		return err
	}
	locks := map[string][]byte{} // by peer
	b.report.setting("npm install, npm ci, pip install, uv pip install: of %s, which take most of the time themselves; no audit, no scripts", "the real clients with empty caches")
	for _, command := range []string{"install", "ci"} {
		w := row{
			name: fmt.Sprintf("npm %s of %d packages", command, len(tree)), unit: "packages",
			peers: []string{packhouseName, verdaccioName}, targets: []target{{verdaccioName, 1}},
		}
		err := b.turns(ctx, w, func(ctx context.Context, peer string, _ int) (measurement, error) {
			p := peers[peer]
			files := map[string][]byte{"package.json": project}
			if command == "ci" {
				files["package-lock.json"] = locks[peer]
			}
			return b.clean(files, func(dir string) (measurement, error) {
				argv := slices.Concat(npm, []string{
					command, "--registry=http://" + p.addr + p.npmFeed() + "/", "--cache=" + filepath.Join(dir, "cache"),
					"--no-audit", "--no-fund", "--ignore-scripts", "--no-update-notifier", "--loglevel=error", "--fetch-retries=0",
				})
				m, err := b.client(ctx, p, dir, len(tree), argv)
				if err != nil {
					return m, err
				}
				installed, err := os.ReadDir(filepath.Join(dir, "node_modules"))
				if err != nil {
					return m, err
				}
				// One is npm's own note.
				if len(installed)-1 != len(tree) {
					return m, fmt.Errorf("%s: %d packages installed, not %d", peer, len(installed)-1, len(tree))
				}
				locks[peer], err = os.ReadFile(filepath.Join(dir, "package-lock.json"))
				return m, err
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// clean runs f in a new directory that holds these files, and removes it.
func (b *bench) clean(files map[string][]byte, f func(dir string) (measurement, error)) (measurement, error) {
	dir, err := os.MkdirTemp(b.dir, "client-")
	if err != nil {
		return measurement{}, err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return measurement{}, err
		}
	}
	m, err := f(dir)
	if failed := os.RemoveAll(dir); err == nil {
		err = failed
	}
	return m, err
}

// client runs a client of p, which does so much work, in a directory that is its home.
func (b *bench) client(ctx context.Context, p *peer, dir string, work int, argv []string) (measurement, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...) //nolint:gosec // the pinned list's own
	cmd.Dir = dir
	cmd.Env = []string{"HOME=" + dir, "PATH=" + filepath.Dir(argv[0]) + ":/usr/bin:/bin", "LANG=C.UTF-8", "NO_COLOR=1"}
	return measured(p, float64(work), func() ([]time.Duration, error) {
		begin := time.Now()
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", cmd, err, out)
		}
		return []time.Duration{time.Since(begin)}, nil
	})
}
