package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/packhouse/packhouse/conformance/tools"
)

// simpleHeader is what pip sends when it asks for a project's page.
func simpleHeader() []string {
	return []string{
		"Accept: application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01",
		acceptGzip, "Cache-Control: max-age=0",
	}
}

func pypiPeers() []string { return []string{packhouseName, pypiserverName, devpiName} }

// pypi measures upload, simple pages and installs of Python projects.
func pypi(ctx context.Context, b *bench) error {
	return b.serve(ctx, "pypi", append(pypiPeers(), pypiserverName+fsyncSuffix), func(peers map[string]*peer) error {
		projects := wheelTree(b.amount(50, 10), b.amount(20, 2))
		if err := b.uploadWheels(ctx, peers, projects); err != nil {
			return err
		}
		if err := retire(peers, pypiserverName+fsyncSuffix); err != nil {
			return err
		}
		small := projects[0]
		if err := b.simplePages(ctx, peers, small[0].name, len(small), b.load); err != nil {
			return err
		}
		if err := b.installWheels(ctx, peers, projects); err != nil {
			return err
		}
		n := b.amount(1000, 50)
		// With so many files devpi takes seconds for each upload.
		if err := retire(peers, devpiName); err != nil {
			return err
		}
		if err := b.fillWheels(ctx, peers, n); err != nil {
			return err
		}
		return b.simplePages(ctx, peers, largeProject, n, b.repeat)
	})
}

// wheelTree makes projects that need each other, so that the first needs all, in several versions each.
func wheelTree(size, versions int) [][]wheel {
	tree := make([][]wheel, size)
	for i := range tree {
		for v := range versions {
			w := wheel{name: wheelName(i), version: fmt.Sprintf("1.%d.0", v), size: 20_000 + 1000*i, seed: uint64(50_000 + 100*i + v)}
			for _, need := range []int{2*i + 1, 2*i + 2} {
				if need < size {
					w.needs = append(w.needs, wheelName(need)+">=1.0")
				}
			}
			tree[i] = append(tree[i], w)
		}
	}
	return tree
}

func wheelName(i int) string { return fmt.Sprintf("bench-wheel-%02d", i) }

// uploadWheels uploads a part of the projects in each round, to all peers the same.
func (b *bench) uploadWheels(ctx context.Context, peers map[string]*peer, projects [][]wheel) error {
	type wheelUpload struct {
		upload

		file string
	}
	batches := make([][]wheelUpload, b.rounds())
	for round := range batches {
		for v := range projects[0] {
			for _, versions := range projects[round*len(projects)/len(batches) : (round+1)*len(projects)/len(batches)] {
				form, err := versions[v].form()
				if err != nil {
					return err
				}
				batches[round] = append(batches[round], wheelUpload{form, versions[v].fileName()})
			}
		}
	}
	w := row{
		name:    fmt.Sprintf("upload of %d wheels of %d projects, %d at a time", len(projects)*len(projects[0]), len(projects), publishConnections),
		unit:    "wheels",
		peers:   append(pypiPeers(), pypiserverName+fsyncSuffix),
		targets: []target{{pypiserverName, 2}, {pypiserverName + fsyncSuffix, 2}, {devpiName, 2}},
	}
	b.report.setting("upload of wheels: the form that twine sends, of wheels of 20 to 70 KiB; pypiserver answers before the content is durable, at pypiserver-fsync the loader syncs the file and its folder after each answer; pypiserver reads its whole folder for each upload and each page, so its rate falls from round to round: its most is that of a nearly empty folder, its least that of %d files", len(projects)*len(projects[0]))
	return b.turns(ctx, w, func(ctx context.Context, peer string, round int) (measurement, error) {
		p, batch := peers[peer], batches[round]
		return measured(p, float64(len(batch)), func() ([]time.Duration, error) {
			return each(ctx, p.addr, publishConnections, len(batch), func(c *conn, i int) error {
				if err := c.uploadWheel(p.wheelUpload(), batch[i].upload); err != nil {
					return err
				}
				return p.settle(batch[i].file, ".")
			})
		})
	})
}

const largeProject = "bench-large"

// fillWheels gives each peer a project of n wheels.
func (b *bench) fillWheels(ctx context.Context, peers map[string]*peer, n int) error {
	for _, p := range peers {
		fmt.Fprintf(b.log, "   %d wheels for %s\n", n, p.name)
		_, err := each(ctx, p.addr, populateConnections, n, func(c *conn, i int) error {
			w := wheel{name: largeProject, version: fmt.Sprintf("1.%d.0", i), size: 1000, seed: uint64(i)}
			if p.name == pypiserverName { // its data are files
				packed, err := w.pack()
				if err != nil {
					return err
				}
				return os.WriteFile(filepath.Join(p.data, w.fileName()), packed, 0o600)
			}
			form, err := w.form()
			if err != nil {
				return err
			}
			return c.uploadWheel(p.wheelUpload(), form)
		})
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

// simplePages measures GET of one project's page.
func (b *bench) simplePages(ctx context.Context, peers map[string]*peer, project string, files int, load loader) error {
	unchanged := map[string][]string{} // header by peer
	for _, p := range peers {
		d, err := fetch(ctx, p, p.simplePage(project), simpleHeader())
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		w := wheel{name: project}
		// Once in its URL and once as its name, or the other way round; links to metadata are of other names.
		if got := strings.Count(string(d.text), w.module()+"-1."); got < 2*files {
			return fmt.Errorf("%s: a page of %s that names its wheels %d times, not twice for each of %d", p.name, project, got, files)
		}
		if d.etag != "" {
			unchanged[p.name] = append(simpleHeader(), "If-None-Match: "+d.etag)
		}
		b.report.setting("simple page of %d files, of %s: %s", files, p.name, d.sizes())
	}
	w := row{
		name: fmt.Sprintf("simple page GET, of %d files, as pip asks", files), unit: "requests",
	}
	for _, name := range pypiPeers() {
		if peers[name] == nil {
			continue
		}
		w.peers = append(w.peers, name)
		if name != packhouseName {
			w.targets = append(w.targets, target{name, 10})
		}
	}
	err := b.turns(ctx, w, func(ctx context.Context, peer string, _ int) (measurement, error) {
		return load(ctx, peers[peer], peers[peer].simplePage(project), simpleHeader(), http.StatusOK)
	})
	if err != nil {
		return err
	}
	w.name = fmt.Sprintf("simple page GET, of %d files, unchanged (304)", files)
	w.peers = nil
	for _, name := range pypiPeers() {
		if unchanged[name] != nil {
			w.peers = append(w.peers, name)
		}
	}
	return b.turns(ctx, w, func(ctx context.Context, peer string, _ int) (measurement, error) {
		return load(ctx, peers[peer], peers[peer].simplePage(project), unchanged[peer], http.StatusNotModified)
	})
}

// installWheels installs all projects by pip and by uv.
func (b *bench) installWheels(ctx context.Context, peers map[string]*peer, projects [][]wheel) error {
	pip, err := toolPath("pip")
	if err != nil {
		return err
	}
	uv, err := toolPath("uv")
	if err != nil {
		return err
	}
	for _, client := range []struct {
		name string
		argv []string
	}{
		{"pip", []string{pip, "install", "--isolated", "--no-cache-dir", "--no-compile", "--disable-pip-version-check", "--no-input", "--retries=0", "--quiet"}},
		{"uv pip", []string{uv, "pip", "install", "--no-config", "--no-cache", "--python=" + tools.Python, "--no-python-downloads", "--quiet"}},
	} {
		w := row{
			name: fmt.Sprintf("%s install of %d wheels", client.name, len(projects)), unit: "wheels", peers: pypiPeers(),
			targets: []target{{pypiserverName, 1}, {devpiName, 1}},
		}
		err := b.turns(ctx, w, func(ctx context.Context, peer string, _ int) (measurement, error) {
			p := peers[peer]
			return b.clean(nil, func(dir string) (measurement, error) {
				target := filepath.Join(dir, "installed")
				argv := append(slices.Clip(client.argv), "--target="+target, "--index-url=http://"+p.addr+p.simplePage(""), wheelName(0))
				m, err := b.client(ctx, p, dir, len(projects), argv)
				if err != nil {
					return m, err
				}
				installed, err := filepath.Glob(filepath.Join(target, "bench_wheel_*.dist-info"))
				if err == nil && len(installed) != len(projects) {
					err = fmt.Errorf("%s: %d wheels installed, not %d", peer, len(installed), len(projects))
				}
				return m, err
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}
