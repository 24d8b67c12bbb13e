package maven

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// get answers for a file, a checksum, metadata or a directory.
func get(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	p, err := parsePath(r.PathValue("path"))
	switch {
	case err != nil:
		return err
	case p.file == "":
		return list(w, r, v, p)
	case p.suffix == "":
		return getMetadata(w, r, v, p)
	}
	c, err := find(r.Context(), v, p)
	if err != nil {
		return err
	}
	h := w.Header()
	switch {
	case len(p.sums) > 0:
		return writeSum(w, r, c.sum(p.sums))
	case c.text != nil:
		return writeGenerated(w, r, contentType(p.suffix), c.text)
	case isSnapshot(p.Version):
		h.Set("Cache-Control", "no-cache") // the next build has the same name
	}
	setSums(h, func(algorithm string) string { return c.file.Facts.Sums[algorithm] })
	h.Set("Content-Type", contentType(p.suffix))
	h.Set("Content-Security-Policy", "sandbox") // XML that somebody uploaded is not a page of this site
	h.Set("Last-Modified", c.file.Added.UTC().Format(http.TimeFormat))
	return v.Serve(w, r, c.release, c.file)
}

// content is what a path of a file leads to: a stored file, or a text.
type content struct {
	release *registry.Release
	file    registry.File
	text    []byte // of a POM that is not a file of its own
}

// find looks a file up. The name of a snapshot stands for the newest build
// that has such a file. It returns MANIFEST_UNKNOWN.
func find(ctx context.Context, v artifacttypes.View, p place) (content, error) {
	c := p.coords
	if isSnapshot(c.Version) {
		newest, err := newestWith(ctx, v, c, p.suffix)
		if err != nil {
			return content{}, err
		}
		if newest == "" {
			return content{}, notFound(p)
		}
		c.Version = newest
	}
	release, err := v.Release(ctx, c.pkg(), c.Version)
	if absent(err) {
		return content{}, notFound(p)
	}
	if err != nil {
		return content{}, err
	}
	files, err := filesOf(release)
	if err != nil {
		return content{}, err
	}
	if f, ok := files.file(c.stem() + p.suffix); ok {
		return content{release: release, file: f}, nil
	}
	if p.suffix == ".pom" {
		if text := files.embedded(); text != nil {
			return content{release: release, text: text}, nil
		}
	}
	return content{}, notFound(p)
}

// sum is the checksum of c, of which the next may be the checksum, and so on.
func (c content) sum(algorithms []string) string {
	sum := c.file.Facts.Sums[algorithms[0]]
	if c.text != nil {
		sum = digestOf(algorithms[0], c.text)
	}
	for _, algorithm := range algorithms[1:] {
		sum = digestOf(algorithm, []byte(sum))
	}
	return sum
}

func getMetadata(w http.ResponseWriter, r *http.Request, v artifacttypes.View, p place) error {
	if p.file != metadataFile {
		return notFound(p)
	}
	body, err := metadata(r.Context(), v, p.dir)
	if err != nil {
		return err
	}
	if len(body) == 0 {
		return notFound(p)
	}
	if len(p.sums) > 0 {
		return writeSum(w, r, content{text: body}.sum(p.sums))
	}
	return writeGenerated(w, r, "text/xml", body)
}

// metadata renders the maven-metadata.xml of a directory, nil for none. A path
// may be a group's and an artifact's; then it is the metadata of both.
func metadata(ctx context.Context, v artifacttypes.View, dir []string) ([]byte, error) {
	n := len(dir)
	if n >= 3 && isSnapshot(dir[n-1]) {
		group, artifact := strings.Join(dir[:n-2], "."), dir[n-2]
		builds, err := buildsOf(ctx, v, group+":"+artifact, dir[n-1])
		if err != nil || builds == nil {
			return nil, err
		}
		return builds.metadata(group, artifact, dir[n-1])
	}
	var artifact []byte
	if n >= 2 {
		var err error
		artifact, err = v.Bytes(ctx, strings.Join(dir[:n-1], ".")+":"+dir[n-1], documentMetadata)
		if err != nil && !absent(err) {
			return nil, err
		}
	}
	group := strings.Join(dir, ".")
	if is, err := isGroup(ctx, v, group); err != nil || !is {
		return artifact, err
	}
	plugins, err := pluginsOf(ctx, v, group)
	if err != nil || len(plugins) == 0 {
		return artifact, err
	}
	return groupMetadata(plugins, artifact)
}

// isGroup tells whether a group has packages of its own.
func isGroup(ctx context.Context, v artifacttypes.View, group string) (bool, error) {
	for name, err := range v.Packages(ctx, group+":") {
		if absent(err) {
			return false, nil
		}
		return err == nil && strings.HasPrefix(name, group+":"), err
	}
	return false, nil
}

// pluginsOf lists the plug-ins of a group.
func pluginsOf(ctx context.Context, v artifacttypes.View, group string) ([]pluginEntry, error) {
	document, err := v.Bytes(ctx, "", documentPlugins)
	if absent(err) {
		return nil, nil
	}
	if err != nil || !bytes.Contains(document, []byte(`"group":"`+group+`"`)) {
		return nil, err
	}
	var list []pluginEntry
	for d := json.NewDecoder(bytes.NewReader(document)); ; {
		var e pluginEntry
		if err := d.Decode(&e); errors.Is(err, io.EOF) {
			return list, nil
		} else if err != nil {
			return nil, err
		}
		if e.Group == group {
			list = append(list, e)
		}
	}
}
