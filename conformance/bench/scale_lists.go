package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// fillNames adds, by SQL, tags to the repository that has one, and repositories to its namespace: what they name is the
// image that is there.
const fillNames = `
INSERT INTO tags (repository_id, name, manifest_id, from_gen, from_at)
	SELECT t.repository_id, 'v' || lpad(i::text, 7, '0'), t.manifest_id, t.from_gen, t.from_at
	FROM tags t JOIN repositories r ON r.id = t.repository_id, generate_series(0, %[2]d - 1) i WHERE r.name = '%[1]s' AND t.name = '%[4]s';
INSERT INTO repositories (namespace_id, name, generation, created_at)
	SELECT namespace_id, 'bench/repository-' || lpad(i::text, 6, '0'), 1, created_at FROM repositories, generate_series(0, %[3]d - 1) i WHERE name = '%[1]s';
ANALYZE tags; ANALYZE repositories;`

// lists measures pages of long listings beside those of short ones.
func (s *stage) lists(ctx context.Context) (err error) {
	few, tags, repos := 2000, s.amount(1_000_000, 60_000), s.amount(100_000, 10_000)
	short, err := s.named(ctx, "short", few, few)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, short.end(ctx)) }()
	long, err := s.named(ctx, "long", tags, repos)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, long.end(ctx)) }()
	for _, v := range []struct {
		what        string
		short, long string // targets
		of          int
	}{
		{"tags, first page of 1,000", "/v2/" + tagsRepo + "/tags/list?n=1000", "/v2/" + tagsRepo + "/tags/list?n=1000", tags},
		{
			"tags, a page of 1,000 in the middle",
			"/v2/" + tagsRepo + "/tags/list?n=1000&last=v0000500", fmt.Sprintf("/v2/%s/tags/list?n=1000&last=v%07d", tagsRepo, tags/2), tags,
		},
		{"repositories, first page of 100", "/v2/_catalog?n=100", "/v2/_catalog?n=100", repos},
		{
			"repositories, a page of 100 in the middle",
			"/v2/_catalog?n=100&last=bench/repository-001000", fmt.Sprintf("/v2/_catalog?n=100&last=bench/repository-%06d", repos/2), repos,
		},
	} {
		var of [2][]time.Duration
		for range s.rounds() {
			for i, at := range []struct {
				r      *registry
				target string
			}{{short, v.short}, {long, v.long}} {
				latencies, err := each(ctx, at.r.peers()[0].addr, 1, s.amount(100, 10), func(c *conn, _ int) error {
					_, err := c.drop(request{method: http.MethodGet, target: at.target, want: http.StatusOK})
					return err
				})
				if err != nil {
					return err
				}
				of[i] = append(of[i], percentile(latencies, 50))
			}
		}
		s.report.atMost(fmt.Sprintf("listing %d %s, of the time at %d: p50", v.of, v.what, few),
			median(of[1]).Seconds()/median(of[0]).Seconds(), 1.5, "×", fmt.Sprintf("(%s against %s; longest round %s)", latency(median(of[1])), latency(median(of[0])), latency(slices.Max(of[1]))))
	}
	return nil
}

// named starts a registry with so many tags in one repository, and so many repositories beside it.
func (s *stage) named(ctx context.Context, name string, tags, repos int) (*registry, error) {
	im, err := newImage(2, 1)
	if err != nil {
		return nil, err
	}
	r, err := s.registry(ctx, name)
	if err != nil {
		return nil, err
	}
	if err = r.start(ctx, 1); err == nil {
		_, err = each(ctx, r.peers()[0].addr, 1, 1, func(c *conn, _ int) error { return c.pushImage(tagsRepo, imageTag, im) })
	}
	if err = errors.Join(err, r.stop()); err == nil { // it knows its repository as it was
		_, err = r.query(ctx, fillNames, tagsRepo, tags, repos, imageTag)
	}
	if err == nil {
		err = r.start(ctx, 1)
	}
	if err != nil {
		return nil, errors.Join(err, r.end(ctx))
	}
	return r, nil
}
