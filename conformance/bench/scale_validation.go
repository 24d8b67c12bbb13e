package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// counted are the statements that PostgreSQL was asked, by what for.
type counted struct {
	Validation, Content, Rows, Other float64
}

// statements counts what the registry asked since forget. A validation reads stripes; content is what manifests, tags and
// blobs are read from, and Rows what came of it.
func (r *registry) statements(ctx context.Context) (c counted, err error) {
	text, err := r.query(ctx, `SELECT json_build_object(
		'Validation', coalesce(sum(calls) FILTER (WHERE kind = 'validation'), 0),
		'Content', coalesce(sum(calls) FILTER (WHERE kind = 'content'), 0),
		'Rows', coalesce(sum(rows) FILTER (WHERE kind = 'content'), 0),
		'Other', coalesce(sum(calls) FILTER (WHERE kind = 'other'), 0))
		FROM (SELECT calls, rows, CASE
			WHEN query ~ '(FROM|JOIN)\s+stripes' THEN 'validation'
			WHEN query ~ '(FROM|JOIN)\s+(manifests|tags|memberships|blobs|objects|repositories|repository_blobs)' THEN 'content'
			ELSE 'other' END AS kind
			FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
			WHERE d.datname = current_database() AND query NOT LIKE '%%pg_stat_statements%%') AS statements`)
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal([]byte(text), &c)
}

func (r *registry) forget(ctx context.Context) error {
	_, err := r.query(ctx, "SELECT pg_stat_statements_reset()")
	return err
}

const coldRepo = "bench/cold"

// validation counts what pulls ask the database, in memory, in Redis and in neither.
func (s *stage) validation(ctx context.Context) (err error) {
	r, err := s.registry(ctx, "validation")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.end(ctx)) }()
	for _, statement := range []string{
		"CREATE EXTENSION IF NOT EXISTS pg_stat_statements",
		fmt.Sprintf(`ALTER DATABASE %q SET pg_stat_statements.track = 'top'`, r.Database),
	} {
		if _, err := r.query(ctx, "%s", statement); err != nil {
			return err
		}
	}
	if err := r.start(ctx, 1); err != nil {
		return err
	}
	n := s.amount(4000, 1000)
	images, err := s.coldImages(ctx, r, n)
	if err != nil {
		return err
	}
	for _, v := range []struct {
		what    string
		prepare func(context.Context) error
		content float64 // queries for content per pull, at most
	}{
		{"in neither memory nor Redis", func(ctx context.Context) error {
			return errors.Join(r.start(ctx, 1), s.set.Redis.Flush(ctx))
		}, 1},
		{"in Redis", func(ctx context.Context) error {
			// Redis is written to behind the answers.
			return errors.Join(idle(ctx, time.Second), r.start(ctx, 1))
		}, 0},
		{"in memory", func(context.Context) error { return nil }, 0},
	} {
		if err := v.prepare(ctx); err != nil {
			return err
		}
		if err := s.countPulls(ctx, r, images, v.what, v.content); err != nil {
			return err
		}
	}
	return nil
}

// coldImages pushes n images with a tag each; they share their blobs.
func (s *stage) coldImages(ctx context.Context, r *registry, n int) ([]string, error) {
	im, err := newImage(7, 1)
	if err != nil {
		return nil, err
	}
	p := r.peers()[0]
	if _, err := each(ctx, p.addr, 1, 1, func(c *conn, _ int) error { return c.pushImage(coldRepo, imageTag, im) }); err != nil {
		return nil, err
	}
	paths := make([]string, n)
	_, err = each(ctx, p.addr, populateConnections, n, func(c *conn, i int) error {
		tag := fmt.Sprintf("cold-%05d", i)
		paths[i] = manifestPath(coldRepo, tag)
		var manifest map[string]any
		if err := json.Unmarshal(im.manifest, &manifest); err != nil {
			return err
		}
		manifest["annotations"] = map[string]string{"number": tag}
		text, err := json.Marshal(manifest)
		if err != nil {
			return err
		}
		return c.putManifest(coldRepo, tag, text)
	})
	return paths, err
}

// countPulls pulls each image once over 16 connections.
func (s *stage) countPulls(ctx context.Context, r *registry, paths []string, what string, content float64) error {
	before, err := r.metrics(ctx)
	if err != nil {
		return err
	}
	if err := r.forget(ctx); err != nil { // a scrape asks the database, too
		return err
	}
	_, err = each(ctx, r.peers()[0].addr, wrkConnections, len(paths), func(c *conn, i int) error {
		_, err := c.get(paths[i], acceptHeader+"\r\n")
		return err
	})
	if err != nil {
		return err
	}
	c, err := r.statements(ctx)
	if err != nil {
		return err
	}
	after, err := r.metrics(ctx)
	if err != nil {
		return err
	}
	pulls := float64(len(paths))
	const queries = "packhouse_validation_queries_total"
	own := (after[queries] - before[queries]) / pulls
	prefix := fmt.Sprintf("pull of %d manifests by tag that are %s, %d connections: ", len(paths), what, wrkConnections)
	s.report.atMost(prefix+"validation queries per pull", own, 0.25, "", fmt.Sprintf("(PostgreSQL counted %s)", number(c.Validation/pulls)))
	s.report.atMost(prefix+"queries for content per pull", c.Content/pulls, content, "", fmt.Sprintf("(%s rows; %.0f other statements in all)", number(c.Rows/pulls), c.Other))
	return nil
}
