package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/packhouse/packhouse/conformance/packhouse"
	"github.com/packhouse/packhouse/conformance/services"
)

// Peers of the group scale alone.
const (
	twoReplicasName       = "packhouse-2-replicas"
	distributionRedisName = "distribution-redis" // files, and Redis as its cache
	distributionS3Name    = "distribution-s3"    // S3, and Redis as its cache
	multipartName         = "s3-multipart"       // what S3 alone takes
)

// stage is the servers that replicas share, all on this machine.
type stage struct {
	*bench
	set *services.Set
	key string // of the replicas' secrets
	dir string
}

// scale measures replicas whose data is in PostgreSQL, S3 and Redis.
func scale(ctx context.Context, b *bench) (err error) {
	s := &stage{bench: b, dir: filepath.Join(b.dir, "scale")}
	if err := os.MkdirAll(s.dir, 0o750); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(s.dir)) }()
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	s.key = base64.StdEncoding.EncodeToString(key)
	// Statements are counted in the one database that is asked for it.
	s.set, err = services.Start(ctx, services.PostgresOptions{Durable: true, Args: []string{
		"-c", "shared_buffers=512MB", "-c", "shared_preload_libraries=pg_stat_statements", "-c", "pg_stat_statements.track=none",
	}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.set.Redis.Stop(), s.set.S3.Stop(), s.set.Postgres.Stop()) }()
	for _, bucket := range []string{distributionS3Name, multipartName} {
		if err := s.set.S3.Create(ctx, bucket); err != nil {
			return err
		}
	}
	version, err := s.set.Postgres.Query(ctx, "postgres", "SHOW server_version")
	if err != nil {
		return err
	}
	b.report.setting("scale: PostgreSQL %s (fsync on, shared_buffers 512 MB), Redis, and versitygw over files as S3 share the processors with all else; packhouse has its defaults beside their addresses; distribution-redis keeps files and has Redis as its cache, distribution-s3 keeps all in the same S3 and has Redis, too",
		strings.Fields(version)[0])
	for _, part := range []struct {
		name string
		run  func(context.Context) error
	}{{"pulls", s.pulls}, {"validation", s.validation}, {"pushes", s.pushes}, {"lists", s.lists}, {"collection", s.collection}} {
		began := time.Now()
		if failed := part.run(ctx); failed != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", part.name, failed))
		}
		fmt.Fprintf(b.log, "   scale, %s: %s\n", part.name, time.Since(began).Round(time.Second))
	}
	return err
}

// registry is one registry's database and bucket, and its replicas while they run.
type registry struct {
	*services.Place
	stage *stage
	dir   string
	env   []string
	runs  *packhouse.Server
}

// registry makes an empty one.
func (s *stage) registry(ctx context.Context, name string, env ...string) (*registry, error) {
	place, err := s.set.Place(ctx)
	if err != nil {
		return nil, err
	}
	r := &registry{Place: place, stage: s, dir: filepath.Join(s.dir, name)}
	r.env = append(place.Env("", "", ""), "PACKHOUSE_SECRETS__KEY="+s.key, "PACKHOUSE_GC__EVERY=0")
	r.env = append(r.env, env...)
	return r, os.MkdirAll(r.dir, 0o750)
}

// start starts n replicas; those that run are stopped.
func (r *registry) start(ctx context.Context, n int) error {
	if err := r.stop(); err != nil {
		return err
	}
	var err error
	r.runs, err = packhouse.Start(ctx, packhouse.Options{Data: filepath.Join(r.dir, "data"), Env: r.env, Replicas: n})
	return err
}

func (r *registry) stop() error {
	if r.runs == nil {
		return nil
	}
	err := r.runs.Stop()
	r.runs = nil
	return err
}

// end stops the replicas and drops what they kept.
func (r *registry) end(ctx context.Context) error {
	return errors.Join(r.stop(), r.Drop(ctx), os.RemoveAll(r.dir))
}

// peers are the replicas, without the balancer before them: a loader asks each by itself.
func (r *registry) peers() []*peer {
	replicas := r.runs.Replicas
	if len(replicas) == 0 {
		replicas = []*packhouse.Server{r.runs}
	}
	var list []*peer
	for _, one := range replicas {
		list = append(list, &peer{name: packhouseName, addr: one.Host, pid: one.PID(), data: one.Data, stop: one.Stop})
	}
	return list
}

// query runs SQL in the registry's database.
func (r *registry) query(ctx context.Context, format string, a ...any) (string, error) {
	return r.stage.set.Postgres.Query(ctx, r.Database, fmt.Sprintf(format, a...))
}

// metrics reads what the first replica says of itself.
func (r *registry) metrics(ctx context.Context) (map[string]float64, error) {
	first := r.runs
	if len(first.Replicas) > 0 {
		first = first.Replicas[0]
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, first.MetricsURL+"/-/metrics", nil)
	if err != nil {
		return nil, err
	}
	res, err := first.Client().Do(req)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		return nil, err
	}
	values := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "} ")
		if ok {
			name += "}"
		} else if name, value, ok = strings.Cut(strings.TrimSpace(line), " "); !ok {
			continue
		}
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			values[name] = v
		}
	}
	return values, nil
}

// processors is what the processes have used together.
func processors(pids ...int) (sum time.Duration, err error) {
	for _, pid := range pids {
		used, err := processorTime(pid)
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}
