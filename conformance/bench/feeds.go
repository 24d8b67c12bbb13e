package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const feedConnections = 32

// largeFeed is one format's feed of very many packages.
type largeFeed struct {
	format  string
	publish func(c *conn, feed string, i int) error
	name    func(i int) string
	// indexes are what clients ask the whole feed for: header lines by name.
	indexes []feedIndex
}

type feedIndex struct{ name, path, accept string }

func largeFeeds() []largeFeed {
	return []largeFeed{
		{
			format: "helm", name: func(i int) string { return fmt.Sprintf("bench-chart-%06d", i) },
			publish: func(c *conn, feed string, i int) error {
				packed, err := chart{fmt.Sprintf("bench-chart-%06d", i), "1.0.0"}.pack()
				if err != nil {
					return err
				}
				return c.uploadChart(feed, packed)
			},
			indexes: []feedIndex{{"index.yaml", "/index.yaml", "Accept: */*"}},
		},
		{
			format: "pypi", name: func(i int) string { return fmt.Sprintf("bench-project-%06d", i) },
			publish: func(c *conn, feed string, i int) error {
				form, err := wheel{name: fmt.Sprintf("bench-project-%06d", i), version: "1.0.0", size: 300, seed: uint64(i)}.form()
				if err != nil {
					return err
				}
				return c.uploadWheel("/"+feed+"/", form)
			},
			indexes: []feedIndex{
				{"simple index, HTML", "/simple/", "Accept: text/html"},
				{"simple index, JSON", "/simple/", "Accept: application/vnd.pypi.simple.v1+json"},
			},
		},
	}
}

// feeds measures what a feed of very many packages costs: publish beside an empty feed, the index, and memory.
func feeds(ctx context.Context, b *bench) error {
	n := b.size
	if n == 0 {
		n = b.amount(100_000, 500)
	}
	var failed error
	for _, f := range largeFeeds() {
		err := b.serve(ctx, "feeds", []string{packhouseName}, func(peers map[string]*peer) error {
			empty, err := startPeer(ctx, packhouseName, filepath.Join(b.dir, "feeds", "empty"))
			if err != nil {
				return err
			}
			peers["empty"] = empty // to be stopped with the others
			return b.largeFeed(ctx, peers[packhouseName], empty, f, n)
		})
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", f.format, err))
		}
	}
	return failed
}

func (b *bench) largeFeed(ctx context.Context, p, empty *peer, f largeFeed, n int) error {
	feed := namespace + "/" + f.format
	what := fmt.Sprintf("%s feed of %d packages", f.format, n)
	fmt.Fprintf(b.log, "   %s\n", what)
	begin := time.Now()
	took, err := each(ctx, p.addr, feedConnections, n, func(c *conn, i int) error { return f.publish(c, feed, i) })
	if err != nil {
		return err
	}
	filled := time.Since(begin)
	tenth := max(1, n/10)
	b.report.setting("%s: filled over %d connections in %.0f s, %s packages/s; median of the first tenth %s, of the last %s", what, feedConnections,
		filled.Seconds(), number(float64(n)/filled.Seconds()), latency(median(took[:tenth])), latency(median(took[n-tenth:])))
	populated, err := memoryOf(p.pid, "VmHWM")
	if err != nil {
		return err
	}
	w := []row{
		{name: fmt.Sprintf("publish to a %s feed, one at a time, empty", f.format), unit: "packages", peers: []string{packhouseName}},
		{name: fmt.Sprintf("publish to a %s feed, one at a time, of %d packages", f.format, n), unit: "packages", peers: []string{packhouseName}},
	}
	next, turn := n, b.amount(100, 10)
	err = b.alternate(ctx, w, func(ctx context.Context, i, _ int) (measurement, error) {
		one, first := []*peer{empty, p}[i], next
		next += i * turn // both get the same packages
		return measured(one, float64(turn), func() ([]time.Duration, error) {
			return each(ctx, one.addr, 1, turn, func(c *conn, j int) error { return f.publish(c, feed, first+j) })
		})
	})
	if err != nil {
		return err
	}
	b.costs("publish to a "+what+" beside an empty one", w[1], w[0])
	if err := b.feedIndexes(ctx, p, f, feed, what, next); err != nil {
		return err
	}
	peak, err := memoryOf(p.pid, "VmHWM")
	if err != nil {
		return err
	}
	now, err := memoryOf(p.pid, "VmRSS")
	if err != nil {
		return err
	}
	b.resident(p, "peak RSS, "+what+" filled, "+fmt.Sprint(feedConnections)+" at a time, and its index served", peak, 200, fmt.Sprintf("(%.3g MiB once filled, %.3g MiB at the end)", populated, now))
	return nil
}

// feedIndexes measures the first GET of each index after a publish: the very first, and those that follow.
func (b *bench) feedIndexes(ctx context.Context, p *peer, f largeFeed, feed, what string, next int) error {
	for _, index := range f.indexes {
		target := "/" + feed + index.path
		// after publishes one package more, and returns how long the index then takes.
		after := func(header string) (time.Duration, error) {
			one := next
			next++
			if _, err := each(ctx, p.addr, 1, 1, func(c *conn, _ int) error { return f.publish(c, feed, one) }); err != nil {
				return 0, err
			}
			took, err := each(ctx, p.addr, 1, 1, func(c *conn, _ int) error {
				_, err := c.drop(request{method: http.MethodGet, target: target, header: header, want: http.StatusOK})
				return err
			})
			return took[0], err
		}
		zipped, plain := index.accept+"\r\n"+acceptGzip+"\r\n", index.accept+"\r\n"
		cold, err := after(zipped)
		if err != nil {
			return err
		}
		b.report.atMost(fmt.Sprintf("very first GET of %s, gzip, of a %s", index.name, what), cold.Seconds(), 1, "s", "")
		for _, v := range []struct{ name, header string }{{"gzip", zipped}, {"not compressed", plain}} {
			var took []time.Duration
			for range b.amount(20, 3) {
				one, err := after(v.header)
				if err != nil {
					return err
				}
				took = append(took, one)
			}
			d, err := fetch(ctx, p, target, strings.Split(strings.TrimSuffix(v.header, "\r\n"), "\r\n"))
			if err != nil {
				return err
			}
			if !strings.Contains(string(d.text), f.name(next-1)) {
				return fmt.Errorf("%s does not list %s, which was published before", index.name, f.name(next-1))
			}
			longest := slices.Max(took)
			b.report.atMost(fmt.Sprintf("first GET after a publish of %s, %s, of a %s: longest of %d", index.name, v.name, what, len(took)),
				longest.Seconds(), 1, "s", fmt.Sprintf("(p50 %s; %s)", latency(median(took)), d.sizes()))
		}
	}
	return nil
}
