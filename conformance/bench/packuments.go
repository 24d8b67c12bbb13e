package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// loader asks one peer for a document in one turn.
type loader func(ctx context.Context, p *peer, target string, header []string, want int) (measurement, error)

// documentKind is one of the two forms in which npm clients ask for a packument.
type documentKind struct{ name, accept string }

func packumentKinds() []documentKind {
	return []documentKind{
		{"full", "Accept: application/json"}, // npm
		{"abbreviated", "Accept: application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*"}, // pnpm, Yarn, bun
	}
}

const acceptGzip = "Accept-Encoding: gzip, deflate"

// load is a loader for small documents.
func (b *bench) load(ctx context.Context, p *peer, target string, header []string, _ int) (measurement, error) {
	return wrk(ctx, p, b.dir, target, header, b.amount(4, 1))
}

const documentConnections = 4

// repeat is a loader for documents that take long to make or send.
func (b *bench) repeat(ctx context.Context, p *peer, target string, header []string, want int) (measurement, error) {
	ask := func(c *conn, _ int) error {
		_, err := c.drop(request{method: http.MethodGet, target: target, header: strings.Join(header, "\r\n") + "\r\n", want: want})
		return err
	}
	var trial []time.Duration
	for range 2 { // the first may make what the next ones find
		var err error
		if trial, err = each(ctx, p.addr, 1, 1, ask); err != nil {
			return measurement{}, fmt.Errorf("%s: %w", p.name, err)
		}
	}
	times := max(documentConnections, b.amount(4, 1)*int(time.Second/trial[0]))
	return measured(p, float64(times), func() ([]time.Duration, error) {
		return each(ctx, p.addr, documentConnections, times, ask)
	})
}

// packuments measures GET of one package's document in both forms, new and unchanged.
func (b *bench) packuments(ctx context.Context, peers map[string]*peer, what, name string, versions int, load loader) error {
	for _, kind := range packumentKinds() {
		header := []string{kind.accept, acceptGzip}
		unchanged := map[string][]string{} // header by peer
		for _, p := range peers {
			d, err := fetch(ctx, p, p.npmFeed()+"/"+name, header)
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			var packument struct {
				Versions map[string]struct{ Dist struct{ Tarball string } }
			}
			if err := json.Unmarshal(d.text, &packument); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			if len(packument.Versions) != versions {
				return fmt.Errorf("%s: a packument of %d versions, not %d", p.name, len(packument.Versions), versions)
			}
			unchanged[p.name] = append(header[:2:2], "If-None-Match: "+d.etag)
			b.report.setting("packument %s, %s, of %s: %s", what, kind.name, p.name, d.sizes())
		}
		w := row{
			name: fmt.Sprintf("packument GET, %s, %s, gzip", what, kind.name), unit: "requests",
			peers: []string{packhouseName, verdaccioName}, targets: []target{{verdaccioName, 10}},
		}
		err := b.turns(ctx, w, func(ctx context.Context, peer string, _ int) (measurement, error) {
			return load(ctx, peers[peer], peers[peer].npmFeed()+"/"+name, header, http.StatusOK)
		})
		if err != nil {
			return err
		}
		w.name = fmt.Sprintf("packument GET, %s, %s, unchanged (304)", what, kind.name)
		err = b.turns(ctx, w, func(ctx context.Context, peer string, _ int) (measurement, error) {
			return load(ctx, peers[peer], peers[peer].npmFeed()+"/"+name, unchanged[peer], http.StatusNotModified)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// unchanged compares the 304 for the packument of n versions with that for a small package's.
func (b *bench) unchanged(ctx context.Context, p *peer, small string, n int) error {
	names, w, headers := []string{small, largePackage}, make([]row, 2), make([][]string, 2)
	for i, name := range names {
		header := []string{packumentKinds()[0].accept, acceptGzip}
		d, err := fetch(ctx, p, p.npmFeed()+"/"+name, header)
		if err != nil {
			return err
		}
		headers[i] = append(header, "If-None-Match: "+d.etag)
		w[i] = row{name: fmt.Sprintf("packument GET, unchanged (304), %s KiB", number(float64(len(d.text))/1024)), unit: "requests", peers: []string{packhouseName}}
	}
	err := b.alternate(ctx, w, func(ctx context.Context, i, _ int) (measurement, error) {
		return b.load(ctx, p, p.npmFeed()+"/"+names[i], headers[i], http.StatusNotModified)
	})
	if err != nil {
		return err
	}
	b.costs(fmt.Sprintf("304 for the packument of %d versions beside a small one", n), w[1], w[0])
	return nil
}

// fetched is a document that was asked for once.
type fetched struct {
	text []byte // not compressed
	sent int    // bytes
	etag string
}

func (f fetched) sizes() string {
	return fmt.Sprintf("%s KiB, %s KiB sent", number(float64(len(f.text))/1024), number(float64(f.sent)/1024))
}

// fetch gets a document, and a 304 for it where it has an entity tag.
func fetch(ctx context.Context, p *peer, target string, header []string) (fetched, error) {
	c, err := dial(ctx, p.addr)
	if err != nil {
		return fetched{}, err
	}
	defer c.close()
	lines := strings.Join(header, "\r\n") + "\r\n"
	answer, body, err := c.do(request{method: http.MethodGet, target: target, header: lines, want: http.StatusOK})
	if err != nil {
		return fetched{}, err
	}
	d := fetched{text: body, sent: len(body), etag: answer.Get("ETag")}
	if answer.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return fetched{}, err
		}
		if d.text, err = io.ReadAll(z); err != nil {
			return fetched{}, err
		}
	}
	if d.etag != "" {
		_, _, err = c.do(request{method: http.MethodGet, target: target, header: lines + "If-None-Match: " + d.etag + "\r\n", want: http.StatusNotModified})
	}
	return d, err
}
