package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const publishConnections = 4

// npm measures publish, packuments and installs of npm packages.
func npm(ctx context.Context, b *bench) error {
	names := []string{packhouseName, verdaccioName, verdaccioName + fsyncSuffix}
	return b.serve(ctx, "npm", names, func(peers map[string]*peer) error {
		tree := npmTree(b.amount(300, 30), b.amount(5, 2))
		if err := b.publishTree(ctx, peers, tree); err != nil {
			return err
		}
		if err := retire(peers, verdaccioName+fsyncSuffix); err != nil {
			return err
		}
		small := tree[0]
		if err := b.packuments(ctx, peers, fmt.Sprintf("of %d versions", len(small)), small[0].name, len(small), b.load); err != nil {
			return err
		}
		if err := b.installTree(ctx, peers, tree); err != nil {
			return err
		}
		n := b.amount(4000, 200)
		if err := b.fillVersions(ctx, peers, largePackage, n); err != nil {
			return err
		}
		if err := b.packuments(ctx, peers, fmt.Sprintf("of %d versions", n), largePackage, n, b.repeat); err != nil {
			return err
		}
		return b.unchanged(ctx, peers[packhouseName], small[0].name, n)
	})
}

// npmTree makes packages that need each other, so that the first needs all, in several versions each.
func npmTree(size, versions int) [][]npmPackage {
	tree := make([][]npmPackage, size)
	for i := range tree {
		for v := range versions {
			p := npmPackage{name: treeName(i), version: fmt.Sprintf("1.%d.0", v), files: 3 + i%8, seed: uint64(10_000 + 100*i + v)}
			for _, need := range []int{2*i + 1, 2*i + 2, i + 13} {
				if need < size {
					p.needs = append(p.needs, treeName(need))
				}
			}
			tree[i] = append(tree[i], p)
		}
	}
	return tree
}

func treeName(i int) string { return fmt.Sprintf("bench-tree-%03d", i) }

// publishTree publishes a part of the tree in each round, to all peers the same.
func (b *bench) publishTree(ctx context.Context, peers map[string]*peer, tree [][]npmPackage) error {
	type publication struct {
		npmPackage

		body []byte
	}
	batches := make([][]publication, b.rounds())
	for round := range batches {
		part := tree[round*len(tree)/len(batches) : (round+1)*len(tree)/len(batches)]
		for v := range tree[0] { // one after the other: two versions of a package are far apart
			for _, versions := range part {
				body, err := versions[v].publication()
				if err != nil {
					return err
				}
				batches[round] = append(batches[round], publication{versions[v], body})
			}
		}
	}
	w := row{
		name:    fmt.Sprintf("npm publish of %d versions of %d packages, %d at a time", len(tree)*len(tree[0]), len(tree), publishConnections),
		unit:    "versions",
		peers:   []string{packhouseName, verdaccioName, verdaccioName + fsyncSuffix},
		targets: []target{{verdaccioName, 2}, {verdaccioName + fsyncSuffix, 2}},
	}
	b.report.setting("npm publish: the PUT that npm sends, of tarballs of 8 to 50 KiB; verdaccio answers before the content is durable, at verdaccio-fsync the loader syncs the tarball, package.json and their folder after each answer")
	return b.turns(ctx, w, func(ctx context.Context, peer string, round int) (measurement, error) {
		p, batch := peers[peer], batches[round]
		return measured(p, float64(len(batch)), func() ([]time.Duration, error) {
			return each(ctx, p.addr, publishConnections, len(batch), func(c *conn, i int) error {
				one := batch[i]
				if err := c.publishPackage(p.npmFeed(), one.name, one.body); err != nil {
					return err
				}
				return p.settle(filepath.Join(one.name, one.tarballName()), filepath.Join(one.name, "package.json"), one.name)
			})
		})
	})
}

const (
	largePackage = "bench-large"
	largeTools   = 60
)

// largeVersion is a version of a package like the TypeScript compiler's: small to pack, much to say.
func largeVersion(name string, v int) npmPackage {
	return npmPackage{name: name, version: fmt.Sprintf("1.%d.0", v), files: 1, tools: largeTools, seed: uint64(v)}
}

// fillVersions gives each peer a package of n versions.
func (b *bench) fillVersions(ctx context.Context, peers map[string]*peer, name string, n int) error {
	for _, p := range peers {
		fmt.Fprintf(b.log, "   %d versions for %s\n", n, p.name)
		fill := publishVersions
		if p.name == verdaccioName {
			fill = writeVersions
			b.report.setting("verdaccio's package of %d versions: one is published, the others are written to its storage as it would; by publishing, each costs more than the one before", n)
		}
		if err := fill(ctx, p, name, 0, n); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

// publishVersions publishes versions from … to-1.
func publishVersions(ctx context.Context, p *peer, name string, from, to int) error {
	_, err := each(ctx, p.addr, populateConnections, to-from, func(c *conn, i int) error {
		body, err := largeVersion(name, from+i).publication()
		if err != nil {
			return err
		}
		return c.publishPackage(p.npmFeed(), name, body)
	})
	return err
}

// writeVersions publishes the last version and writes the others into verdaccio's file of the package.
func writeVersions(ctx context.Context, p *peer, name string, from, to int) error {
	if err := publishVersions(ctx, p, name, to-1, to); err != nil {
		return err
	}
	file := filepath.Join(p.data, name, "package.json")
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var stored map[string]any
	if err := json.Unmarshal(text, &stored); err != nil {
		return err
	}
	versions, _ := stored["versions"].(map[string]any)
	times, _ := stored["time"].(map[string]any)
	attachments, _ := stored["_attachments"].(map[string]any)
	if versions == nil || times == nil || attachments == nil {
		return errors.New("the stored package is not as this program knows it")
	}
	for v := from; v < to-1; v++ {
		one := largeVersion(name, v)
		s := sums{sha1: make([]byte, 20), sha512: make([]byte, 64)}
		_, _ = noise(one.seed).Read(s.sha512) // never fails
		copy(s.sha1, s.sha512)
		versions[one.version] = one.described(s)
		times[one.version] = times["created"]
		attachments[one.tarballName()] = map[string]any{"version": one.version, "shasum": fmt.Sprintf("%x", s.sha1)}
	}
	if text, err = json.MarshalIndent(stored, "", "  "); err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}
