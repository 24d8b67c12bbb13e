package cache

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// Config says where Redis is and what it may cost. Addrs, Timeout, TTL and Log
// are required.
type Config struct {
	Addrs            []string // HOST:PORT of a server, of sentinels, or of nodes of a cluster
	Master           string   // name that the sentinels watch; "" where Addrs are no sentinels
	Cluster          bool
	Username         string
	Password         string
	SentinelPassword string
	DB               int
	TLS              *tls.Config // nil for none

	Secret  []byte        // what values are sealed with; the same on all replicas
	Timeout time.Duration // of one answer
	TTL     time.Duration // of one value
	Log     *slog.Logger

	// Instrument is called once with the client; nil for nothing.
	Instrument func(redis.UniversalClient) error
	// Observe is told of each answer, of "get", "set" or "ping"; nil for nobody.
	Observe func(op string, took time.Duration, err error)
}

// MaxValue bounds a value's body: a larger one is quicker made again than
// sent. A manifest may have 4 MiB, but hardly one has more than this.
const MaxValue = 1 << 20

// Writes wait in a queue that is bounded by their number and their bytes.
const (
	queueLength = 1024
	queueBytes  = 16 << 20
	batchLength = 64
)

// Store is a cache in Redis. It is safe for concurrent use.
type Store struct {
	cfg     Config
	client  redis.UniversalClient
	sealer  *sealer
	breaker *breaker
	count   counters

	queue  chan write
	queued atomic.Int64 // bytes
	stop   context.CancelFunc
	work   sync.WaitGroup
}

type write struct {
	key  string
	body []byte
}

func (w write) size() int64 { return int64(len(w.key) + len(w.body)) }

// Open starts a store. It connects when it is first asked: a Redis that is
// away costs speed and nothing else. [Store.Close] ends its work.
func Open(cfg Config) (*Store, error) {
	switch {
	case len(cfg.Addrs) == 0 || cfg.Log == nil:
		return nil, errors.New("cache: Addrs and Log are required")
	case cfg.Timeout <= 0 || cfg.TTL <= 0:
		return nil, errors.New("cache: Timeout and TTL must be positive")
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Store{
		cfg: cfg, client: redis.NewUniversalClient(options(cfg)), sealer: newSealer(cfg.Secret), breaker: newBreaker(),
		queue: make(chan write, queueLength), stop: stop,
	}
	if cfg.Instrument != nil {
		if err := cfg.Instrument(s.client); err != nil {
			stop()
			return nil, errors.Join(fmt.Errorf("cache: %w", err), s.client.Close())
		}
	}
	s.work.Go(func() { s.write(ctx) })
	s.work.Go(func() { s.probe(ctx) })
	return s, nil
}

func options(cfg Config) *redis.UniversalOptions {
	return &redis.UniversalOptions{
		Addrs: cfg.Addrs, MasterName: cfg.Master, IsClusterMode: cfg.Cluster,
		Username: cfg.Username, Password: cfg.Password, SentinelPassword: cfg.SentinelPassword, DB: cfg.DB, TLSConfig: cfg.TLS,
		ClientName: "packhouse",
		MaxRetries: -1, // the database is asked instead
		// A deadline covers all of a request, connecting included.
		ContextTimeoutEnabled: true,
		DialTimeout:           cfg.Timeout, ReadTimeout: cfg.Timeout, WriteTimeout: cfg.Timeout, PoolTimeout: cfg.Timeout,
		DialerRetries: 1,
	}
}

// Close ends the store's work and its connections. What was not written yet is
// dropped.
func (s *Store) Close() error {
	s.stop()
	s.work.Wait()
	if err := s.client.Close(); err != nil {
		return fmt.Errorf("close Redis: %w", err)
	}
	return nil
}

// Get returns what was set under key. Whatever goes wrong, it finds nothing.
func (s *Store) Get(ctx context.Context, key string) (body []byte, ok bool) {
	if !s.breaker.closed() {
		s.count.skipped.Add(1)
		return nil, false
	}
	var value []byte
	err := s.ask(ctx, "get", func(ctx context.Context) (err error) {
		value, err = s.client.Get(ctx, name(key)).Bytes()
		return err
	})
	switch {
	case errors.Is(err, redis.Nil):
		s.count.misses.Add(1)
		s.breaker.succeeded()
		return nil, false
	case err != nil:
		if ctx.Err() == nil { // else the caller went away
			s.failed(ctx, err)
		}
		return nil, false
	}
	s.breaker.succeeded()
	body, err = s.sealer.open(key, value)
	if err != nil {
		s.count.refused.Add(1)
		return nil, false
	}
	s.count.hits.Add(1)
	return body, true
}

// Refuse takes back a hit: the body was not what it has to be.
func (s *Store) Refuse() {
	s.count.hits.Add(^uint64(0))
	s.count.refused.Add(1)
}

// Set keeps body under key, some time soon and perhaps. Nobody may change body
// any more.
func (s *Store) Set(key string, body []byte) {
	if len(body) > MaxValue {
		return
	}
	w := write{key, body}
	if !s.breaker.closed() || !s.enqueue(w) {
		s.count.dropped.Add(1)
	}
}

func (s *Store) enqueue(w write) bool {
	if s.queued.Add(w.size()) <= queueBytes {
		select {
		case s.queue <- w:
			return true
		default:
		}
	}
	s.queued.Add(-w.size())
	return false
}

// write writes what is queued, some of it at a time.
func (s *Store) write(ctx context.Context) {
	batch := make([]write, 0, batchLength)
	for {
		select {
		case <-ctx.Done():
			return
		case w := <-s.queue:
			batch = append(batch[:0], w)
		}
	fill:
		for len(batch) < batchLength {
			select {
			case w := <-s.queue:
				batch = append(batch, w)
			default:
				break fill
			}
		}
		s.writeBatch(ctx, batch)
		clear(batch)
	}
}

func (s *Store) writeBatch(ctx context.Context, batch []write) {
	for _, w := range batch {
		s.queued.Add(-w.size())
	}
	if !s.breaker.closed() {
		s.count.dropped.Add(uint64(len(batch)))
		return
	}
	err := s.ask(ctx, "set", func(ctx context.Context) error {
		_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, w := range batch {
				p.Set(ctx, name(w.key), s.sealer.seal(w.key, w.body), s.cfg.TTL)
			}
			return nil
		})
		return err
	})
	if err != nil {
		s.count.dropped.Add(uint64(len(batch)))
		var reply redis.Error
		switch {
		case ctx.Err() != nil:
		case errors.As(err, &reply): // full, or read-only: it may go on to answer
			s.count.errors.Add(1)
		default:
			s.failed(ctx, err)
		}
		return
	}
	s.breaker.succeeded()
	s.count.written.Add(uint64(len(batch)))
}

// ask gives Redis no more than its time.
func (s *Store) ask(ctx context.Context, op string, what func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	began := time.Now()
	err := what(ctx)
	if s.cfg.Observe != nil {
		seen := err
		if errors.Is(seen, redis.Nil) {
			seen = nil
		}
		s.cfg.Observe(op, time.Since(began), seen)
	}
	return err
}

func (s *Store) failed(ctx context.Context, err error) {
	s.count.errors.Add(1)
	before := s.breaker.State()
	s.breaker.failed()
	if before == StateClosed && !s.breaker.closed() {
		s.cfg.Log.WarnContext(ctx, "redis does not answer: the database is asked instead", "error", err)
	}
}

// probe looks whether Redis answers again while the breaker is open.
func (s *Store) probe(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.breaker.wake:
		}
		for wait := probeFirst; !s.breaker.closed(); wait = min(2*wait, probeLast) {
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
			}
			s.breaker.state.Store(int32(StateHalfOpen))
			err := s.ask(ctx, "ping", func(ctx context.Context) error { return s.client.Ping(ctx).Err() })
			s.breaker.probed(err)
			if err == nil {
				s.cfg.Log.InfoContext(ctx, "redis answers again")
			}
		}
	}
}
