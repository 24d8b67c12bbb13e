package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"time"
)

const (
	tagsRepo            = "bench/tags"
	populateConnections = 16
)

// lists measures listings of many names, and how long a start takes with all of them there.
func lists(ctx context.Context, b *bench) error {
	names := []string{packhouseName, distributionName}
	return b.serve(ctx, "lists", names, func(peers map[string]*peer) error {
		im, err := newImage(2, 1)
		if err != nil {
			return err
		}
		tags, repos := b.amount(10_000, 1000), b.amount(10_000, 1000)
		for _, p := range peers {
			fmt.Fprintf(b.log, "   %d tags for %s\n", tags, p.name)
			if err := fillTags(ctx, p, im, tags); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
		}
		for _, v := range []struct{ how, query string }{{"as the server pages it", ""}, {"n=1000", "?n=1000"}} {
			w := row{name: fmt.Sprintf("listing %d tags, %s", tags, v.how), unit: "listings", peers: names, targets: []target{{distributionName, 10}}}
			err := b.turns(ctx, w, func(ctx context.Context, peer string, _ int) (measurement, error) {
				return listTags(ctx, peers[peer], "/v2/"+tagsRepo+"/tags/list"+v.query, tags)
			})
			if err != nil {
				return err
			}
		}
		p := peers[packhouseName]
		fmt.Fprintf(b.log, "   %d repositories for %s\n", repos, p.name)
		if err := fillRepos(ctx, p, im, repos); err != nil {
			return err
		}
		if err := b.catalog(ctx, p, repos); err != nil {
			return err
		}
		return b.starts(ctx, peers, repos, tags)
	})
}

func fillTags(ctx context.Context, p *peer, im image, n int) error {
	_, err := each(ctx, p.addr, 1, 1, func(c *conn, _ int) error { return c.pushImage(tagsRepo, "latest", im) })
	if err != nil {
		return err
	}
	_, err = each(ctx, p.addr, populateConnections, n-1, func(c *conn, i int) error {
		return c.putManifest(tagsRepo, fmt.Sprintf("v1.%d", i), im.manifest)
	})
	return err
}

// fillRepos gives every repository an image whose blobs are mounted.
func fillRepos(ctx context.Context, p *peer, im image, n int) error {
	_, err := each(ctx, p.addr, populateConnections, n-1, func(c *conn, i int) error {
		repo := fmt.Sprintf("bench/repo-%d", i)
		for _, layer := range im.blobs {
			target := fmt.Sprintf("/v2/%s/blobs/uploads/?mount=%s&from=%s", repo, layer.digest, tagsRepo)
			if _, _, err := c.do(request{method: http.MethodPost, target: target, want: http.StatusCreated}); err != nil {
				return err
			}
		}
		return c.putManifest(repo, "latest", im.manifest)
	})
	return err
}

// listTags lists all tags for about a second, as a client that follows the links to further pages.
func listTags(ctx context.Context, p *peer, first string, want int) (measurement, error) {
	listing := func(c *conn, _ int) error {
		count := 0
		for target := first; target != ""; {
			answer, body, err := c.do(request{method: http.MethodGet, target: target, want: http.StatusOK})
			if err != nil {
				return err
			}
			// Every tag is a string of its own, and nothing else between the last brackets is.
			count += strings.Count(string(body[strings.IndexByte(string(body), '['):]), `"`) / 2
			target = nextPage(answer)
		}
		if count != want {
			return fmt.Errorf("%d tags listed, not %d", count, want)
		}
		return nil
	}
	trial, err := each(ctx, p.addr, 1, 1, listing)
	if err != nil {
		return measurement{}, fmt.Errorf("%s: %w", p.name, err)
	}
	times := int(max(1, time.Second/trial[0]))
	return measured(p, float64(times), func() ([]time.Duration, error) { return each(ctx, p.addr, 1, times, listing) })
}

// nextPage is the target of the Link header, or "".
func nextPage(answer http.Header) string {
	link, _, _ := strings.Cut(answer.Get("Link"), ">")
	link = strings.TrimPrefix(link, "<")
	if i := strings.Index(link, "/v2/"); i > 0 {
		return link[i:]
	}
	return link
}

// catalog measures the catalog's first page, again and again on one connection.
func (b *bench) catalog(ctx context.Context, p *peer, repos int) error {
	for _, v := range []struct{ how, target string }{{"n=100", "/v2/_catalog?n=100"}, {"no n", "/v2/_catalog"}} {
		latencies, err := each(ctx, p.addr, 1, 500, func(c *conn, _ int) error {
			body, err := c.get(v.target, "")
			if err != nil {
				return err
			}
			var page struct{ Repositories []string }
			if err := json.Unmarshal(body, &page); err != nil {
				return err
			}
			if len(page.Repositories) < 100 {
				return fmt.Errorf("%s: a page of %d repositories", v.target, len(page.Repositories))
			}
			return nil
		})
		if err != nil {
			return err
		}
		p50, p99 := percentile(latencies, 50), percentile(latencies, 99)
		b.report.atMost(fmt.Sprintf("catalog of %d repositories, first page, %s: p99", repos, v.how), p99.Seconds()*1000, 5, "ms", "(p50 "+latency(p50)+")")
	}
	return nil
}

// starts stops packhouse and starts it again on the same data; peers then holds the last start.
func (b *bench) starts(ctx context.Context, peers map[string]*peer, repos, tags int) error {
	var took []time.Duration
	for range b.rounds() {
		old := peers[packhouseName]
		if err := old.stop(); err != nil {
			return err
		}
		p, err := startPeer(ctx, packhouseName, filepath.Dir(old.data))
		if err != nil {
			delete(peers, packhouseName)
			return err
		}
		peers[packhouseName] = p
		took = append(took, p.startedIn)
	}
	name := fmt.Sprintf("start with %d repositories and %d tags", repos, repos+tags-1)
	b.report.atMost(name, median(took).Seconds(), 1, "s", fmt.Sprintf("(longest of %d: %.3g s)", len(took), percentile(took, 100).Seconds()))
	return nil
}
