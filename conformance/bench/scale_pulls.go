package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/packhouse/packhouse/conformance/services"
	"github.com/packhouse/packhouse/conformance/tools"
)

// distributionSharedConfig is distributionConfig with Redis for its cache, and STORAGE in the place of its files.
const distributionSharedConfig = `version: 0.1
log: {level: error}
redis:
  addrs: [REDIS]
  db: NUMBER
storage:
  cache: {blobdescriptor: redis}
STORAGE
  delete: {enabled: true}
  redirect: {disable: true}
  tag: {concurrencylimit: 8}
http:
  addr: ADDR
  headers: {X-Content-Type-Options: [nosniff]}
health:
  storagedriver: {enabled: true, interval: 10s, threshold: 3}
`

// distribution starts one of the peers that have Redis; stop removes what it kept of its own.
func (s *stage) distribution(ctx context.Context, name string) (*peer, error) {
	dir := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o750); err != nil {
		return nil, err
	}
	storage, number := "  filesystem: {rootdirectory: DIR/data}", "1"
	if name == distributionS3Name {
		number = "2" // what one remembers of a blob is wrong for the other
		storage = fmt.Sprintf("  s3: {accesskey: %s, secretkey: %s, region: %s, regionendpoint: \"http://%s\", bucket: %s, forcepathstyle: true, secure: false}",
			services.S3Key, services.S3Secret, services.S3Region, s.set.S3.Addr, name)
	}
	tool, err := tools.Find(distributionName)
	if err != nil {
		return nil, err
	}
	binary, err := tool.Path()
	if err != nil {
		return nil, err
	}
	config := strings.NewReplacer("REDIS", s.set.Redis.Addr, "STORAGE", storage, "NUMBER", number).Replace(distributionSharedConfig)
	return spawnPeer(ctx, name, dir, config, []string{"OTEL_TRACES_EXPORTER=none"}, binary, "serve")
}

// pulls measures GET of one small manifest beside distribution, and what a second replica costs.
func (s *stage) pulls(ctx context.Context) (err error) {
	im, err := newImage(1, 8)
	if err != nil {
		return err
	}
	r, err := s.registry(ctx, "pulls")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.end(ctx)) }()
	if err := r.start(ctx, 1); err != nil {
		return err
	}
	peers := map[string]*peer{packhouseName: r.peers()[0]}
	names := []string{packhouseName, distributionRedisName, distributionS3Name}
	stop := func() (err error) {
		for _, name := range names[1:] {
			err = errors.Join(err, retire(peers, name))
		}
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	for _, name := range s.among(names[1:]...) {
		p, err := s.distribution(ctx, name)
		if err != nil {
			return err
		}
		peers[name] = p
	}
	for _, p := range peers {
		if err := provideImage(ctx, p, im); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	for _, v := range []struct{ what, reference string }{{"tag", imageTag}, {"digest", im.digest}} {
		path := manifestPath(imageRepo, v.reference)
		for _, p := range peers { // warm up
			if _, err := wrk(ctx, p, s.bench.dir, path, []string{acceptHeader}, 1); err != nil {
				return err
			}
		}
		err := s.turns(ctx, row{
			name:    fmt.Sprintf("manifest GET by %s, PostgreSQL and Redis, %d connections", v.what, wrkConnections),
			unit:    "requests",
			peers:   names,
			targets: []target{{distributionRedisName, 2}, {distributionS3Name, 2}},
		}, func(ctx context.Context, peer string, _ int) (measurement, error) {
			return wrk(ctx, peers[peer], s.bench.dir, path, []string{acceptHeader}, s.amount(4, 1))
		})
		if err != nil {
			return err
		}
	}
	if err := stop(); err != nil {
		return err
	}
	return s.secondReplica(ctx, r, manifestPath(imageRepo, imageTag))
}

// secondReplica measures what a request costs one replica and, with as many connections in all, two.
func (s *stage) secondReplica(ctx context.Context, one *registry, path string) (err error) {
	two := &registry{Place: one.Place, stage: s, dir: one.dir + "-2", env: one.env}
	if err := os.MkdirAll(two.dir, 0o750); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, two.stop(), os.RemoveAll(two.dir)) }()
	if err := two.start(ctx, 2); err != nil {
		return err
	}
	peers := map[string][]*peer{packhouseName: one.peers(), twoReplicasName: two.peers()}
	shared := []int{s.set.Postgres.PID(), s.set.Redis.PID()}
	w := row{
		name:  fmt.Sprintf("manifest GET by tag, %d connections to all replicas together, CPU of the replicas, PostgreSQL and Redis", wrkConnections),
		unit:  "requests",
		peers: []string{packhouseName, twoReplicasName},
		runs:  map[string][]measurement{},
	}
	own := map[string][]measurement{} // the replicas' processor time alone
	err = s.turns(ctx, w, func(ctx context.Context, name string, round int) (measurement, error) {
		list := peers[name]
		var pids []int
		for _, p := range list {
			pids = append(pids, p.pid)
		}
		seconds := s.amount(5, 1)
		if round == 0 { // warm up
			if _, err := s.together(ctx, list, path, 1); err != nil {
				return measurement{}, err
			}
		}
		before, err := processors(pids...)
		if err != nil {
			return measurement{}, err
		}
		others, err := processors(shared...)
		if err != nil {
			return measurement{}, err
		}
		m, err := s.together(ctx, list, path, seconds)
		if err != nil {
			return measurement{}, err
		}
		after, err := processors(pids...)
		if err != nil {
			return measurement{}, err
		}
		othersAfter, err := processors(shared...)
		if err != nil {
			return measurement{}, err
		}
		m.server = after - before
		own[name] = append(own[name], m)
		m.server += othersAfter - others
		return m, nil
	})
	if err != nil || len(own[twoReplicasName]) == 0 {
		return err
	}
	perRequest := func(m measurement) float64 { return m.server.Seconds() / m.work * 1e6 }
	for _, v := range []struct {
		what string
		runs map[string][]measurement
	}{{"the replicas", own}, {"the replicas, PostgreSQL and Redis", w.runs}} {
		alone, both := median(collect(v.runs[packhouseName], perRequest)), median(collect(v.runs[twoReplicasName], perRequest))
		s.report.atMost("CPU per request of two replicas, of that of one: "+v.what, both/alone, 1.15, "×", fmt.Sprintf("(%s against %s µs)", number(both), number(alone)))
	}
	return nil
}

// together runs wrk against all of list at once, the connections shared out among them.
func (s *stage) together(ctx context.Context, list []*peer, path string, seconds int) (measurement, error) {
	results, errs := make([]measurement, len(list)), make([]error, len(list))
	var group sync.WaitGroup
	for i, p := range list {
		group.Go(func() {
			results[i], errs[i] = wrkOver(ctx, p, s.bench.dir, path, []string{acceptHeader}, seconds, wrkConnections/len(list), "")
		})
	}
	group.Wait()
	sum := measurement{}
	for _, m := range results {
		sum.work += m.work
		sum.loader += m.loader
		sum.took, sum.p50, sum.p99 = max(sum.took, m.took), max(sum.p50, m.p50), max(sum.p99, m.p99)
	}
	return sum, errors.Join(errs...)
}

// idle waits until servers have done what they do after an answer.
func idle(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
