package services

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
)

// shared is the one set of this process.
var shared struct {
	sync.Mutex
	set    *Set
	failed error
	places int
}

// DurableEnv names the environment variable that, when it is not empty, has the shared PostgreSQL fsync its commits.
const DurableEnv = "PACKHOUSE_DURABLE"

// Set is the servers that all registries of one test process share, each with a database and a bucket of its own.
type Set struct {
	Postgres *Postgres
	S3       *S3
	Redis    *Redis
}

// Shared returns the servers of this process and starts them when it is called first.
func Shared(ctx context.Context) (*Set, error) {
	shared.Lock()
	defer shared.Unlock()
	if shared.set == nil && shared.failed == nil {
		// The servers outlive the test that happens to be first.
		shared.set, shared.failed = Start(context.WithoutCancel(ctx), PostgresOptions{Durable: os.Getenv(DurableEnv) != ""})
	}
	return shared.set, shared.failed
}

// Start starts a set of servers that nobody else uses; o.Dir is where all of them keep their data.
func Start(ctx context.Context, o PostgresOptions) (*Set, error) {
	if o.Dir == "" {
		var err error
		if o.Dir, err = scratch(); err != nil {
			return nil, err
		}
	}
	set := &Set{}
	var errs [3]error
	var starting sync.WaitGroup
	starting.Go(func() { set.Postgres, errs[0] = StartPostgres(ctx, o) })
	starting.Go(func() { set.S3, errs[1] = StartS3(ctx, "", o.Dir) })
	starting.Go(func() { set.Redis, errs[2] = StartRedis(ctx, o.Dir) })
	starting.Wait()
	return set, errors.Join(errs[:]...)
}

// Place is where one registry keeps its data.
type Place struct {
	Database string // name, in Set.Postgres
	Bucket   string // in Set.S3

	set *Set
}

// Place makes an empty database and an empty bucket.
func (s *Set) Place(ctx context.Context) (*Place, error) {
	shared.Lock()
	shared.places++
	n := shared.places
	shared.Unlock()
	p := &Place{Database: fmt.Sprintf("packhouse_%d", n), Bucket: fmt.Sprintf("packhouse-%d", n), set: s}
	_, err := s.Postgres.Create(ctx, p.Database)
	return p, errors.Join(err, s.S3.Create(ctx, p.Bucket))
}

// Env is the registry's configuration for the place, as environment variables. Addresses that are not empty stand for
// the servers' own: those of proxies before them.
func (p *Place) Env(postgres, s3, redis string) []string {
	or := func(addr, own string) string {
		if addr == "" {
			return own
		}
		return addr
	}
	database := strings.Replace(p.set.Postgres.URL(p.Database), p.set.Postgres.Addr, or(postgres, p.set.Postgres.Addr), 1)
	env := []string{
		"PACKHOUSE_DATABASE__URL=" + database, "PACKHOUSE_REDIS__ADDRS=" + or(redis, p.set.Redis.Addr), "PACKHOUSE_STORAGE__DRIVER=s3aws",
	}
	for name, value := range p.set.S3.Params(or(s3, p.set.S3.Addr), p.Bucket) {
		env = append(env, "PACKHOUSE_STORAGE__PARAMS__"+strings.ToUpper(name)+"="+value)
	}
	return env
}

// Content is all that the registry keeps in the place, and what is in Redis of all places.
func (p *Place) Content(ctx context.Context) (map[string][]byte, error) {
	dump, err := p.set.Postgres.Dump(ctx, p.Database)
	if err != nil {
		return nil, err
	}
	content := map[string][]byte{"dump of PostgreSQL": dump}
	if content["snapshot of Redis"], err = p.set.Redis.snapshot(ctx); err != nil {
		return nil, err
	}
	keys, err := p.set.S3.Objects(ctx, p.Bucket)
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		status, body, err := p.set.S3.Do(ctx, http.MethodGet, (&url.URL{Path: "/" + p.Bucket + "/" + key}).EscapedPath(), nil)
		if err != nil || status != http.StatusOK {
			return nil, errors.Join(fmt.Errorf("object %s: status %d", key, status), err)
		}
		content["object "+key] = body
	}
	return content, nil
}

// Drop removes the database; what is in the bucket goes with the process.
func (p *Place) Drop(ctx context.Context) error { return p.set.Postgres.Drop(ctx, p.Database) }
