package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/packhouse/packhouse/conformance/packhouse"
)

// fillContent makes, by SQL, manifests of 5 blobs each, a tag for each manifest, in a thousand repositories. Nothing is
// in the storage: a collection does not look at what it keeps.
const fillContent = `
SET session_replication_role = replica; -- no triggers: what they count is counted below
INSERT INTO namespaces (id, name, created_at) VALUES (1000, 'gc', 1);
INSERT INTO repositories (id, namespace_id, name, generation, created_at) SELECT 100000 + i, 1000, 'gc/r' || i, 1, 1 FROM generate_series(0, 999) i;
INSERT INTO blobs (id, digest, size, state, created_at)
	SELECT 10000000 + i, 'sha256:' || encode(sha256(i::text::bytea), 'hex'), 1000, 0, 1 FROM generate_series(0, 5 * %[1]d - 1) i;
INSERT INTO objects (blob_id, position, key, size)
	SELECT 10000000 + i, 0, '/objects/' || left(md5(i::text), 2) || '/' || md5(i::text) || '-00', 1000 FROM generate_series(0, 5 * %[1]d - 1) i;
INSERT INTO manifests (id, digest, media_type, artifact_type, depth, raw, created_at)
	SELECT 10000000 + i, 'sha256:' || encode(sha256(('m' || i)::bytea), 'hex'), 'application/vnd.oci.image.manifest.v1+json', '', 0, convert_to(repeat(md5(i::text), 20), 'UTF8'), 1
	FROM generate_series(0, %[1]d - 1) i;
INSERT INTO manifest_blobs (manifest_id, blob_id) SELECT 10000000 + i / 5, 10000000 + i FROM generate_series(0, 5 * %[1]d - 1) i;
INSERT INTO repository_blobs (repository_id, blob_id) SELECT 100000 + i / 5 %% 1000, 10000000 + i FROM generate_series(0, 5 * %[1]d - 1) i;
INSERT INTO memberships (id, repository_id, manifest_id, digest, from_gen, from_at) SELECT id, 100000 + (id - 10000000) %% 1000, id, digest, 1, 1 FROM manifests WHERE id >= 10000000;
INSERT INTO tags (id, repository_id, name, manifest_id, from_gen, from_at) SELECT id, repository_id, 't' || id, manifest_id, 1, 1 FROM memberships WHERE id >= 10000000;
INSERT INTO namespace_blobs (namespace_id, blob_id, refs) SELECT 1000, blob_id, count(*) FROM repository_blobs WHERE blob_id >= 10000000 GROUP BY blob_id;
INSERT INTO namespace_manifests (namespace_id, manifest_id, refs) SELECT 1000, manifest_id, count(*) FROM memberships WHERE manifest_id >= 10000000 GROUP BY manifest_id;
INSERT INTO namespace_usage (namespace_id, bytes, manifests)
	SELECT 1000, (SELECT sum(size) FROM blobs WHERE id >= 10000000) + (SELECT sum(length(raw)) FROM manifests WHERE id >= 10000000), %[1]d;
SELECT setval(pg_get_serial_sequence(t, 'id'), 50000000) FROM unnest(ARRAY['repositories', 'blobs', 'manifests', 'memberships', 'tags']) t;`

// makeGarbage closes the periods of some manifests long ago, and makes blobs that nothing references; round is from 0.
const makeGarbage = `
UPDATE tags SET until_gen = 2, until_at = 2 WHERE id BETWEEN 10000000 + %[1]d * %[2]d AND 10000000 + (%[1]d + 1) * %[2]d - 1;
UPDATE memberships SET until_gen = 2, until_at = 2 WHERE id BETWEEN 10000000 + %[1]d * %[2]d AND 10000000 + (%[1]d + 1) * %[2]d - 1;
WITH made AS (
	INSERT INTO blobs (digest, size, state, unreferenced_since, created_at)
	SELECT 'sha256:' || encode(sha256(('g%[1]d ' || i)::bytea), 'hex'), 1000, 0, 1, 1 FROM generate_series(0, 5 * %[2]d - 1) i RETURNING id)
INSERT INTO objects (blob_id, position, key, size) SELECT id, 0, '/objects/' || left(md5('g' || id), 2) || '/' || md5('g' || id) || '-00', 1000 FROM made;`

// collection measures passes of garbage collection over much that is kept, and pulls meanwhile.
func (s *stage) collection(ctx context.Context) (err error) {
	manifests, removed := s.amount(200_000, 10_000), s.amount(2000, 200)
	r, err := s.registry(ctx, "collection", "PACKHOUSE_GC__LEASE=1m", "PACKHOUSE_GC__UNTAGGED=720h")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.end(ctx)) }()
	im, err := newImage(1, 8)
	if err != nil {
		return err
	}
	if err := r.start(ctx, 1); err != nil {
		return err
	}
	if err := provideImage(ctx, r.peers()[0], im); err != nil {
		return err
	}
	if err := r.stop(); err != nil {
		return err
	}
	began := time.Now()
	if _, err := r.query(ctx, fillContent, manifests); err != nil {
		return err
	}
	if _, err := r.query(ctx, "VACUUM ANALYZE"); err != nil {
		return err
	}
	fmt.Fprintf(s.log, "   %d manifests and %d blobs in %s\n", manifests, 5*manifests, time.Since(began).Round(time.Second))
	if err := r.start(ctx, 1); err != nil {
		return err
	}
	p := r.peers()[0]
	s.report.setting("collection: each pass removes %d manifests past the trash window and %d blobs (and those that the pass before left unreferenced), whose objects are asked to be deleted but are not there; gc.untagged is set, so manifests are looked at, too; pulls come over %d connections, a request every millisecond each",
		removed, 5*removed, wrkConnections/2)
	var quiet, busy, took []time.Duration
	var peak float64
	for round := range s.rounds() {
		if _, err := r.query(ctx, makeGarbage, round, removed); err != nil {
			return err
		}
		until := time.Now().Add(time.Duration(s.amount(10, 3)) * time.Second)
		latencies, err := pullWhile(ctx, p, func() bool { return time.Now().Before(until) })
		if err != nil {
			return err
		}
		quiet = append(quiet, percentile(latencies, 99))
		if err := forgetPeak(p.pid); err != nil {
			return err
		}
		latencies, pass, err := s.pass(ctx, p)
		if err != nil {
			return err
		}
		resident, err := memoryOf(p.pid, "VmHWM")
		if err != nil {
			return err
		}
		busy, took, peak = append(busy, percentile(latencies, 99)), append(took, pass), max(peak, resident)
		fmt.Fprintf(s.log, "   collection, round %d: %s, RSS %.0f MiB, p99 of pulls %s, without %s\n", round+1, pass.Round(time.Millisecond), resident, latency(busy[round]), latency(quiet[round]))
	}
	left, err := r.query(ctx, "SELECT count(*) FROM blobs WHERE unreferenced_since = 1")
	if err != nil {
		return err
	}
	if left != "0" {
		return fmt.Errorf("%s blobs are still there that nothing has referenced for long", left)
	}
	what := fmt.Sprintf("collection with %d blobs and %d manifests: ", 5*manifests, manifests)
	s.report.atMost(what+"a pass", median(took).Seconds(), 60, "s", fmt.Sprintf("(longest of %d: %.3g s)", len(took), percentile(took, 100).Seconds()))
	s.report.atMost(what+"peak RSS, pulls included", peak, 150, "MiB", "")
	s.report.atMost(what+"p99 of pulls meanwhile, of that without", median(busy).Seconds()/median(quiet).Seconds(), 1.2, "×", fmt.Sprintf("(%s against %s)", latency(median(busy)), latency(median(quiet))))
	return nil
}

// pass collects garbage once and pulls meanwhile.
func (s *stage) pass(ctx context.Context, p *peer) (latencies []time.Duration, took time.Duration, err error) {
	binary, err := packhouse.Binary(ctx)
	if err != nil {
		return nil, 0, err
	}
	var over atomic.Bool
	collected := make(chan error, 1)
	began := time.Now()
	go func() {
		out, err := exec.CommandContext(ctx, binary, "gc", "--data", p.data).CombinedOutput() //nolint:gosec // our own command
		if err != nil {
			err = fmt.Errorf("packhouse gc: %w\n%.2000s", err, out)
		}
		took = time.Since(began)
		over.Store(true)
		collected <- err
	}()
	latencies, err = pullWhile(ctx, p, func() bool { return !over.Load() })
	return latencies, took, errors.Join(err, <-collected)
}

// pullWhile pulls one manifest as long as it is wanted, at a steady rate that leaves the processors time for others.
func pullWhile(ctx context.Context, p *peer, wanted func() bool) ([]time.Duration, error) {
	const connections = wrkConnections / 2
	latencies, errs := make([][]time.Duration, connections), make([]error, connections)
	var group sync.WaitGroup
	for i := range connections {
		group.Go(func() {
			c, err := dial(ctx, p.addr)
			if err != nil {
				errs[i] = err
				return
			}
			defer c.close()
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for wanted() && errs[i] == nil {
				<-tick.C
				begin := time.Now()
				_, errs[i] = c.get(manifestPath(imageRepo, imageTag), acceptHeader+"\r\n")
				latencies[i] = append(latencies[i], time.Since(begin))
			}
		})
	}
	group.Wait()
	return slices.Concat(latencies...), errors.Join(errs...)
}
