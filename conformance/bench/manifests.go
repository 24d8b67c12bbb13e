package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
)

const imageRepo, imageTag = "bench/app", "v1"

// manifests measures GET of one small image manifest, by tag and by digest.
func manifests(ctx context.Context, b *bench) error {
	im, err := newImage(1, 8)
	if err != nil {
		return err
	}
	names := []string{packhouseName, distributionName, nginxName}
	return b.serve(ctx, "manifests", names, func(peers map[string]*peer) error {
		for _, p := range peers {
			if err := provideImage(ctx, p, im); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
		}
		seconds := b.amount(4, 1)
		for _, v := range []struct{ what, reference string }{{"tag", imageTag}, {"digest", im.digest}} {
			path := manifestPath(imageRepo, v.reference)
			for _, p := range peers {
				if _, err := wrk(ctx, p, b.dir, path, []string{acceptHeader}, 1); err != nil { // warm up
					return err
				}
			}
			w := row{
				name:    fmt.Sprintf("manifest GET by %s, %d B, %d connections", v.what, len(im.manifest), wrkConnections),
				unit:    "requests",
				peers:   names,
				targets: []target{{distributionName, 4}, {nginxName, 0.5}},
			}
			err := b.turns(ctx, w, func(ctx context.Context, peer string, _ int) (measurement, error) {
				return wrk(ctx, peers[peer], b.dir, path, []string{acceptHeader}, seconds)
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// provideImage pushes im, or makes its manifest a file of nginx, and reads it back.
func provideImage(ctx context.Context, p *peer, im image) error {
	c, err := dial(ctx, p.addr)
	if err != nil {
		return err
	}
	defer c.close()
	references := []string{imageTag, im.digest}
	if p.name == nginxName {
		for _, reference := range references {
			if err := writeFile(p, manifestPath(imageRepo, reference), im.manifest); err != nil {
				return err
			}
		}
	} else if err := c.pushImage(imageRepo, imageTag, im); err != nil {
		return err
	}
	for _, reference := range references {
		got, err := c.get(manifestPath(imageRepo, reference), acceptHeader+"\r\n")
		if err != nil {
			return err
		}
		if !bytes.Equal(got, im.manifest) {
			return fmt.Errorf("the manifest by %s is not what was pushed", reference)
		}
	}
	return nil
}

// writeFile makes content what nginx answers to a GET of target.
func writeFile(p *peer, target string, content []byte) error {
	path := filepath.Join(p.data, target)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // nginx's workers read it
		return err
	}
	return os.WriteFile(path, content, 0o644) //nolint:gosec // the same
}
