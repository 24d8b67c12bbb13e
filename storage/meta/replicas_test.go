package meta

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta/metatest"
)

// stores opens a new PostgreSQL database n times, as n replicas do.
func stores(t *testing.T, n int, url string) []*Store {
	t.Helper()
	list := make([]*Store, n)
	for i := range list {
		list[i] = place{config: Config{URL: url, Connections: 4}}.open(t)
	}
	return list
}

// Two processes write at once: record ids are in the order of commits and
// without gaps, a quota is met exactly, and of those who want a name to be new
// one gets it.
//
// The mutation that turns this red: leave lockStatement out of begin.
func TestTwoProcessesChangeInOneOrder(t *testing.T) {
	t.Parallel()
	both := stores(t, 2, newPostgres(t))
	const names, each = 30, 8
	must(t, both[0], func(ctx context.Context, tx *Tx) error {
		_, _, err := tx.CreateNamespace(ctx, "acme")
		return errors.Join(err, tx.SetQuota(ctx, "acme", Quota{Manifests: new(int64(names / 2))}))
	})
	taken := errors.New("taken")
	won, full := make([]atomic.Int32, names), atomic.Int32{}
	var wg sync.WaitGroup
	for i := range names * each {
		wg.Go(func() {
			n := i / each
			tag := registry.Tag(fmt.Sprint("v", n))
			err := both[i%2].Update(t.Context(), Options{Durable: true}, func(ctx context.Context, tx *Tx) error {
				switch _, err := tx.Tagged(ctx, "acme/app", tag); {
				case err == nil:
					return taken
				case !errors.Is(err, ErrNotFound):
					return err
				}
				if err := tx.push(ctx, "acme/app", tag, fmt.Sprintf("content %d of %d", i, n)); err != nil {
					return err
				}
				return tx.Record(ctx, AuditRecord{Action: "tag.put", RepoID: int64(1 + n%3), Tag: tag})
			})
			switch {
			case err == nil:
				won[n].Add(1)
			case errors.Is(err, ErrQuota):
				full.Add(1)
			case !errors.Is(err, taken):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	total := int32(0)
	for n := range won {
		if w := won[n].Load(); w > 1 {
			t.Errorf("name %d has %d winners", n, w)
		} else {
			total += w
		}
	}
	if total != names/2 || usage(t, both[0], "acme").Manifests != names/2 {
		t.Errorf("%d pushes came through, %+v, want %d", total, usage(t, both[0], "acme"), names/2)
	}
	wantNoDrift(t, both[1])
	wantChains(t, both[1], int(total))
}

// wantChains wants n records with ids from 1, and each chain to hold together.
func wantChains(t *testing.T, s *Store, n int) {
	t.Helper()
	list := records(t, s, AuditFilter{Order: AuditCommitted, Limit: n + 1})
	if len(list) != n {
		t.Errorf("%d records, want %d", len(list), n)
	}
	last := map[string][]byte{}
	for i, r := range list {
		if r.ID != int64(i+1) {
			t.Fatalf("record %d has id %d", i+1, r.ID)
		}
		if !slices.Equal(r.Hash, r.Sum(last[r.Chain])) {
			t.Fatalf("record %d does not follow the one before it in %s", r.ID, r.Chain)
		}
		last[r.Chain] = r.Hash
	}
}

// A reader who has seen a number has seen all that was committed before it.
func TestStripesFollowCommits(t *testing.T) {
	t.Parallel()
	both := stores(t, 2, newPostgres(t))
	touch := func(s *Store, stripes ...int) {
		t.Helper()
		must(t, s, func(ctx context.Context, tx *Tx) error {
			before, err := tx.StripeSeq(ctx, stripes[0])
			if err != nil {
				return err
			}
			if err := tx.TouchStripes(ctx, stripes...); err != nil {
				return err
			}
			if now, err := tx.StripeSeq(ctx, stripes[0]); err != nil || now <= before {
				t.Errorf("stripe %d: %d after %d, %v", stripes[0], now, before, err)
			}
			return nil
		})
	}
	touch(both[0], 7, FeedsStripe)
	touch(both[1], 7, 9)
	must(t, both[1], func(ctx context.Context, tx *Tx) error { return tx.TouchAccess(ctx) })
	if err := change(t, both[1], func(ctx context.Context, tx *Tx) error {
		return errors.Join(tx.TouchStripes(ctx, 11), errors.New("no"))
	}); err == nil {
		t.Error("a refused change was committed")
	}
	for after, want := range map[int64][]StripeChange{
		0: {{7, 2}, {9, 2}, {FeedsStripe, 1}, {AccessStripe, 3}},
		2: {{AccessStripe, 3}},
		3: nil,
	} {
		origin, got, err := both[0].ChangedStripes(t.Context(), after)
		slices.SortFunc(got, func(a, b StripeChange) int { return a.Stripe - b.Stripe })
		if diff := cmp.Diff(want, got); err != nil || origin == "" || diff != "" {
			t.Errorf("after %d: %q, %v (-want +got):\n%s", after, origin, err, diff)
		}
	}
	if err := change(t, both[0], func(ctx context.Context, tx *Tx) error { return tx.TouchStripes(ctx, AllStripe+1) }); err == nil {
		t.Error("a stripe that there is not was touched")
	}
	// Under load: whoever reads number n sees what its commit wrote.
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			must(t, both[i%2], func(ctx context.Context, tx *Tx) error {
				_, err := tx.exec(ctx, `INSERT INTO states (repository_id, tag, key, value) SELECT id, '', ?, '' FROM repositories LIMIT 0`, fmt.Sprint(i))
				if err == nil {
					_, err = tx.AddGroup(ctx, fmt.Sprint("g", i), "")
				}
				return errors.Join(err, tx.TouchStripes(ctx, i))
			})
		})
	}
	seen := 0
	for range 40 {
		_, changes, err := both[1].ChangedStripes(t.Context(), 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range changes {
			if _, err := both[1].Group(t.Context(), fmt.Sprint("g", c.Stripe)); err != nil {
				t.Errorf("stripe %d was touched, but: %v", c.Stripe, err)
			}
		}
		seen = len(changes)
	}
	wg.Wait()
	if seen == 0 {
		t.Log("nothing was committed before the last look")
	}
}

// acknowledged runs workers that add groups until the end, and returns what
// each was told.
type acknowledged struct {
	mu                    sync.Mutex
	done, undone, unclear []string
	slowest               time.Duration
	other                 error
}

func (a *acknowledged) add(s *Store, name string) {
	began := time.Now()
	err := s.Update(context.Background(), Options{Durable: true}, func(ctx context.Context, tx *Tx) error {
		if _, err := tx.AddGroup(ctx, name, ""); err != nil {
			return err
		}
		return errors.Join(tx.TouchStripes(ctx, 1), tx.Record(ctx, AuditRecord{Action: "group.add", Detail: map[string]string{"name": name}}))
	})
	took := time.Since(began)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.slowest = max(a.slowest, took)
	switch {
	case err == nil:
		a.done = append(a.done, name)
	case errors.Is(err, ErrUncertain):
		a.unclear = append(a.unclear, name)
	case errors.Is(err, ErrUnavailable):
		a.undone = append(a.undone, name)
	default:
		a.other = err
	}
}

// check compares what was told with what is there.
func (a *acknowledged) check(t *testing.T, s *Store) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.other != nil {
		t.Error(a.other)
	}
	there := map[string]bool{}
	for _, g := range mustList(s.Groups(t.Context(), "", 1<<20))(t) {
		there[g.Name] = true
	}
	for _, name := range a.done {
		if !there[name] {
			t.Errorf("%s was acknowledged and is lost", name)
		}
		delete(there, name)
	}
	for _, name := range a.undone {
		if there[name] {
			t.Errorf("%s was refused and is there", name)
		}
	}
	for _, name := range a.unclear {
		delete(there, name)
	}
	if len(there) > 0 {
		t.Errorf("nobody was told of %v", there)
	}
	t.Logf("%d acknowledged, %d refused, %d unclear, slowest answer after %v", len(a.done), len(a.undone), len(a.unclear), a.slowest)
}

func mustList[T any](list []T, err error) func(*testing.T) []T {
	return func(t *testing.T) []T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
}

// The server crashes again and again while two processes write: what was
// acknowledged is there, what was refused is not, and the chains hold.
func TestServerCrashes(t *testing.T) {
	t.Parallel()
	server := metatest.NewServer(t)
	both := stores(t, 2, server.Database(t))
	var a acknowledged
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
					a.add(both[i%2], fmt.Sprintf("w%d-%d", i, n))
				}
			}
		})
	}
	wg.Go(func() { // a reader is told at once, or gets the right answer
		for {
			select {
			case <-stop:
				return
			default:
			}
			began := time.Now()
			_, err := both[0].Groups(context.Background(), "", 10)
			if err != nil && !errors.Is(err, ErrUnavailable) {
				t.Errorf("read: %v", err)
			}
			if took := time.Since(began); took > 4*time.Second {
				t.Errorf("a read took %v", took)
			}
		}
	})
	for range crashes {
		time.Sleep(200 * time.Millisecond) //nolint:forbidigo // some work in between; correctness does not hang on it
		if err := server.Restart("immediate"); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	wg.Wait()
	a.check(t, both[1])
	wantChains(t, both[1], len(records(t, both[1], AuditFilter{Order: AuditCommitted, Limit: 1 << 20})))
}

const crashes = 8

// While the server is away everything is answered soon, and right after it is
// back everything works.
func TestServerAway(t *testing.T) {
	t.Parallel()
	server := metatest.NewServer(t)
	s := stores(t, 1, server.Database(t))[0]
	if err := server.Stop("fast"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				began := time.Now()
				err := change(t, s, func(ctx context.Context, tx *Tx) error { return tx.TouchAccess(ctx) })
				if took := time.Since(began); !errors.Is(err, ErrUnavailable) || took > 2500*time.Millisecond {
					t.Errorf("a change: %v after %v", err, took)
				}
			})
			wg.Go(func() {
				began := time.Now()
				_, err := s.AccessGeneration(t.Context())
				if took := time.Since(began); !errors.Is(err, ErrUnavailable) || took > 2500*time.Millisecond {
					t.Errorf("a read: %v after %v", err, took)
				}
			})
		}
		wg.Wait()
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	wantBack(t, s)
	if n, err := s.AccessGeneration(t.Context()); n != 1 || err != nil {
		t.Errorf("generation %d, %v", n, err)
	}
}

// proxy forwards connections to a server and can be told to lose things.
type proxy struct {
	addr string
	to   string
	// lose tells, of what a client sends, whether to end the connection:
	// before it is passed on, or when the answer comes.
	lose atomic.Pointer[func(sent []byte) fate]
	cut  atomic.Bool // nothing passes, and nobody is told

	mu    sync.Mutex
	conns []net.Conn
}

type fate int

const (
	pass fate = iota
	loseStatement
	loseAnswer
	swallowStatement // the server's side stays open
)

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{addr: l.Addr().String(), to: to}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.mu.Lock()
		for _, c := range p.conns {
			_ = c.Close()
		}
		p.mu.Unlock()
		wg.Wait()
	})
	return p
}

func (p *proxy) serve(client net.Conn) {
	server, err := net.Dial("tcp", p.to) //nolint:noctx // closed with the proxy
	if err != nil {
		_ = client.Close()
		return
	}
	p.mu.Lock()
	p.conns = append(p.conns, client, server)
	p.mu.Unlock()
	var dropping atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.copy(client, server, func([]byte) bool { return !dropping.Load() })
	}()
	p.copy(server, client, func(sent []byte) bool {
		if lose := p.lose.Load(); lose != nil {
			switch (*lose)(sent) {
			case loseStatement:
				return false
			case loseAnswer:
				dropping.Store(true)
			case swallowStatement:
				_ = client.Close()
				<-done
			case pass:
			}
		}
		return true
	})
	<-done
}

func (p *proxy) copy(to, from net.Conn, pass func([]byte) bool) {
	defer func() { _ = to.Close() }()
	defer func() { _ = from.Close() }()
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		if err != nil || !pass(b[:n]) {
			return
		}
		for p.cut.Load() {
			time.Sleep(10 * time.Millisecond) //nolint:forbidigo // it stands for a network
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

// through is url by way of the proxy.
func (p *proxy) through(t *testing.T, raw string) string {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = p.addr
	return u.String()
}

// TestLostAnswerToCommit: the connection breaks at the commit, before the
// server saw it or after it was done. The caller is told which, and a change
// is made once.
//
// The mutation that turns this red: make outcome return nil.
func TestLostAnswerToCommit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		fate fate
		kind string // of statement
		runs int64  // of the change
	}{
		{"committed", loseAnswer, ";COMMIT", 1},
		{"not committed", loseStatement, ";COMMIT", 2},
		{"not committed, and the server waits for it", swallowStatement, ";COMMIT", 2},
		{"before the commit", loseStatement, "second", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			direct := newPostgres(t)
			u, _ := url.Parse(direct)
			p := newProxy(t, u.Host)
			s := stores(t, 1, p.through(t, direct))[0]
			must(t, s, func(ctx context.Context, tx *Tx) error { return tx.TouchAccess(ctx) })
			var lost atomic.Int32
			lose := func(sent []byte) fate {
				if strings.Contains(string(sent), c.kind) && lost.Add(1) == 1 {
					return c.fate
				}
				return pass
			}
			p.lose.Store(&lose)
			var runs atomic.Int64
			err := change(t, s, func(ctx context.Context, tx *Tx) error {
				runs.Add(1)
				_, err := tx.AddGroup(ctx, "second"+fmt.Sprint(runs.Load()), "")
				return err
			})
			if lost.Load() == 0 {
				t.Fatal("nothing was lost")
			}
			groups := mustList(s.Groups(t.Context(), "second", 10))(t)
			if err != nil || len(groups) != 1 || runs.Load() != c.runs {
				t.Errorf("%v, %d groups after %d runs, want 1 after %d", err, len(groups), runs.Load(), c.runs)
			}
		})
	}
}

// A network that passes nothing on, and tells nobody: changes and reads are
// answered in time, and work again once it does.
func TestNetworkPartition(t *testing.T) {
	t.Parallel()
	direct := newPostgres(t)
	u, _ := url.Parse(direct)
	p := newProxy(t, u.Host)
	s := stores(t, 1, p.through(t, direct))[0]
	p.cut.Store(true)
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			began := time.Now()
			var err error
			if i%2 == 0 {
				err = change(t, s, func(ctx context.Context, tx *Tx) error { return tx.TouchAccess(ctx) })
			} else {
				_, err = s.AccessGeneration(t.Context())
			}
			if took := time.Since(began); !errors.Is(err, ErrUnavailable) || took > 2500*time.Millisecond {
				t.Errorf("%v after %v", err, took)
			}
		})
	}
	wg.Wait()
	for range 5 { // from now on it is known
		began := time.Now()
		_, err := s.AccessGeneration(t.Context())
		if took := time.Since(began); !errors.Is(err, ErrUnavailable) || took > 500*time.Millisecond {
			t.Errorf("%v after %v", err, took)
		}
	}
	p.cut.Store(false)
	wantBack(t, s)
}

// wantBack wants a change to come through soon.
func wantBack(t *testing.T, s *Store) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) { //nolint:forbidigo // as a client does
		err := change(t, s, func(ctx context.Context, tx *Tx) error { return tx.TouchAccess(ctx) })
		if err == nil {
			return
		}
		if !errors.Is(err, ErrUnavailable) || time.Since(began) > 5*time.Second {
			t.Fatalf("after %v: %v", time.Since(began), err)
		}
	}
}

// TestStoppedProcess: one that stands still in its transaction holds the
// others up no longer than idleLimit.
func TestStoppedProcess(t *testing.T) {
	t.Parallel()
	url := newPostgres(t)
	both := stores(t, 2, url)
	in, leave := make(chan struct{}), make(chan struct{})
	stopped := make(chan error, 1)
	go func() {
		stopped <- both[0].Update(context.Background(), Options{Unaudited: true}, func(ctx context.Context, tx *Tx) error {
			select {
			case <-in: // it runs again, on a new connection
				return tx.TouchAccess(ctx)
			default:
			}
			close(in)
			<-leave
			return tx.TouchAccess(ctx)
		})
	}()
	<-in
	began := time.Now()
	err := change(t, both[1], func(ctx context.Context, tx *Tx) error { return tx.TouchAccess(ctx) })
	if took := time.Since(began); err != nil || took > idleLimit+3*time.Second {
		t.Errorf("%v after %v", err, took)
	}
	close(leave)
	if err := <-stopped; err != nil {
		t.Errorf("the one that stood still: %v", err)
	}
	if n, err := both[0].AccessGeneration(t.Context()); n != 2 || err != nil {
		t.Errorf("generation %d, %v", n, err)
	}
}

// TestManyStartAtOnce: the schema is made once, whoever comes first.
func TestManyStartAtOnce(t *testing.T) {
	t.Parallel()
	url := metatest.Postgres(t)
	var wg sync.WaitGroup
	ids := make([]string, 6)
	for i := range ids {
		wg.Go(func() {
			s, err := Open(context.Background(), Config{URL: url, Connections: 2})
			if err != nil {
				t.Error(err)
				return
			}
			var e error
			ids[i], e = s.Identity(t.Context())
			if err := errors.Join(e, s.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := slices.Compact(ids); len(got) != 1 || len(got[0]) != 32 {
		t.Errorf("identities %v", got)
	}
}

// TestTooManyConnections: a server that has none left is waited for, not long.
func TestTooManyConnections(t *testing.T) {
	t.Parallel()
	server := metatest.NewServer(t, "max_connections = 8", "superuser_reserved_connections = 0")
	url := server.Database(t)
	s := stores(t, 1, url)[0]
	var others []*pgx.Conn
	for {
		c, err := pgx.Connect(t.Context(), url)
		if err != nil {
			break
		}
		others = append(others, c)
	}
	// What the store has, it keeps; more it does not get.
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			began := time.Now()
			_, err := s.AccessGeneration(t.Context())
			if took := time.Since(began); err != nil && !errors.Is(err, ErrUnavailable) || took > 2500*time.Millisecond {
				t.Errorf("a read: %v after %v", err, took)
			}
		})
	}
	wg.Wait()
	for _, c := range others {
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	must(t, s, func(ctx context.Context, tx *Tx) error { return tx.TouchAccess(ctx) })
}
