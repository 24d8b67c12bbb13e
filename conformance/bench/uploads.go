package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
)

// uploads measures what is resident while a large package is published, by npm and by plain HTTP.
func uploads(ctx context.Context, b *bench) error {
	return b.serve(ctx, "uploads", []string{packhouseName}, func(peers map[string]*peer) error {
		p := peers[packhouseName]
		// What any first publish leaves behind is not for the size.
		if err := publishVersions(ctx, p, "bench-first", 0, 1); err != nil {
			return err
		}
		size := int64(b.amount(300, 20)) * mib
		err := b.grows(p, fmt.Sprintf("growth of RSS, `npm publish` of %d MiB", size/mib), func() error { return b.npmPublish(ctx, p, size) })
		if err != nil {
			return err
		}
		size = int64(b.amount(1024, 64)) * mib
		dir, err := makeDir(b.dir, "uploads", "source")
		if err != nil {
			return err
		}
		one, file := npmPackage{name: "bench-huge", version: "1.0.0"}, filepath.Join(dir, "huge.tgz")
		if err := one.writeTarball(file, size); err != nil {
			return err
		}
		u, err := newStreamed(one, file)
		if err != nil {
			return err
		}
		return b.grows(p, fmt.Sprintf("growth of RSS, PUT of an npm package of %d MiB", size/mib), func() error { return u.put(ctx, p) })
	})
}

// npmPublish publishes a folder that holds size bytes of noise.
func (b *bench) npmPublish(ctx context.Context, p *peer, size int64) error {
	npm, err := node("npm")
	if err != nil {
		return err
	}
	manifest, err := json.Marshal(map[string]string{"name": "bench-big", "version": "1.0.0"})
	if err != nil {
		return err
	}
	feed := p.addr + p.npmFeed() + "/"
	files := map[string][]byte{"package.json": manifest, ".npmrc": []byte("//" + feed + ":_authToken=none\n")} // npm insists on one
	_, err = b.clean(files, func(dir string) (measurement, error) {
		if _, err := noiseFile(filepath.Join(dir, "data.bin"), 5, size); err != nil {
			return measurement{}, err
		}
		return b.client(ctx, p, dir, 1, slices.Concat(npm, []string{
			"publish", "--registry=http://" + feed, "--cache=" + filepath.Join(dir, "..", "npm-cache"), "--no-update-notifier", "--loglevel=error", "--fetch-retries=0",
		}))
	})
	return errors.Join(err, os.RemoveAll(filepath.Join(b.dir, "npm-cache")))
}

// writeTarball writes the package with size bytes of noise in it to a file.
func (p npmPackage) writeTarball(path string, size int64) error {
	manifest, err := json.Marshal(p.manifest())
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	buffer := bufio.NewWriterSize(f, mib)
	z, err := gzip.NewWriterLevel(buffer, gzip.NoCompression)
	if err != nil {
		return err
	}
	w := tar.NewWriter(z)
	add := func(name string, content io.Reader, n int64) error {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: n}); err != nil {
			return err
		}
		_, err := io.CopyN(w, content, n)
		return err
	}
	err = add("package/package.json", bytes.NewReader(manifest), int64(len(manifest)))
	if err == nil {
		err = add("package/data.bin", noise(6), size)
	}
	return errors.Join(err, w.Close(), z.Close(), buffer.Flush(), f.Close())
}

// streamed is a publish whose tarball is in a file.
type streamed struct {
	pkg           npmPackage
	file          string
	before, after []byte
	size          int64 // of the body
}

func newStreamed(p npmPackage, file string) (streamed, error) {
	f, err := os.Open(file)
	if err != nil {
		return streamed{}, err
	}
	s, err := sumsOf(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return streamed{}, err
	}
	u := streamed{pkg: p, file: file}
	u.before, u.after, err = p.frame(s)
	u.size = int64(len(u.before)+len(u.after)) + (s.size+2)/3*4
	return u, err
}

// put publishes it; the body is made on the way.
func (u streamed) put(ctx context.Context, p *peer) error {
	f, err := os.Open(u.file)
	if err != nil {
		return err
	}
	content, sink := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		w := bufio.NewWriterSize(sink, mib)
		encoder := base64.NewEncoder(base64.StdEncoding, w)
		_, err := io.Copy(encoder, f)
		err = errors.Join(err, encoder.Close(), w.Flush(), f.Close())
		ended <- errors.Join(err, sink.CloseWithError(err))
	}()
	body := io.MultiReader(bytes.NewReader(u.before), content, bytes.NewReader(u.after))
	_, err = each(ctx, p.addr, 1, 1, func(c *conn, _ int) error {
		_, _, err := c.do(request{method: http.MethodPut, target: p.npmFeed() + "/" + u.pkg.name, header: jsonType, stream: body, size: u.size, want: http.StatusCreated})
		return err
	})
	return errors.Join(err, content.Close(), <-ended)
}
