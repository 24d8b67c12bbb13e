package consistency

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// answerTime is within what a registry that has lost PostgreSQL says so.
const answerTime = 2 * time.Second

// unavailable judges an answer while PostgreSQL may be away: 503 with a Retry-After, in time.
func unavailable(a *answer) error {
	if a.took > answerTime {
		return fmt.Errorf("refused after %s, want %s: %s", a.took.Round(time.Millisecond), answerTime, a)
	}
	return a.busy()
}

// TestPostgresRestarts restarts PostgreSQL again and again while clients move and delete tags, pull images and publish
// packages. Nothing that was acknowledged is lost, nothing that was refused happened, nothing happened twice, and each
// replica reads and writes again within five seconds after PostgreSQL does.
func TestPostgresRestarts(t *testing.T) {
	d := deploy(t, setup{})
	if d.services == nil {
		t.Skip("one process over SQLite has no PostgreSQL")
	}
	postgres := d.services.Postgres
	c := newClient(time.Minute)
	defer c.close()
	log := newLoad(unavailable)
	ends := []struct {
		name string
		end  func() error
	}{{"immediate", postgres.Quit}, {"fast", postgres.Stop}, {"SIGKILL", postgres.Kill}}
	var back []time.Duration
	var published *shelf
	keepers := d.underLoad(t, c, log, func(ctx context.Context) {
		published = newShelf(c, d, log)
		var all sync.WaitGroup
		publishing, stop := context.WithCancel(ctx)
		for i := range 4 {
			all.Go(func() { published.run(publishing, i) })
		}
		for i := range size(5, 50) {
			how := ends[i%len(ends)]
			log.begin(fmt.Sprintf("restart %d, %s", i+1, how.name))
			if err := how.end(); err != nil {
				t.Fatal(err)
			}
			if err := d.startPostgres(t.Context()); err != nil {
				t.Fatal(err)
			}
			back = append(back, d.recovers(t, c)...)
			<-time.After(span(300*time.Millisecond, 500*time.Millisecond))
		}
		stop()
		all.Wait()
	})
	for _, k := range keepers {
		for _, kept := range k.tags {
			kept.checkHistory(t, c, d.at(k.id))
		}
	}
	published.check(t)
	slices.Sort(back)
	t.Logf("%d restarts: each replica wrote and read again after %s at most, %s as a median; %d versions published meanwhile",
		len(back)/len(d.replicas), back[len(back)-1].Round(time.Millisecond), back[len(back)/2].Round(time.Millisecond), len(published.versions))
}

// recovers waits until every replica writes and reads again, and returns how long each took. It fails the test where that
// takes longer than it may.
func (d *deployment) recovers(t *testing.T, c *client) []time.Duration {
	t.Helper()
	begin := time.Now()
	took := make([]time.Duration, len(d.replicas))
	var all sync.WaitGroup
	for i, via := range d.replicas {
		all.Go(func() {
			m := image(fmt.Sprintf("%d.%d.%d", *seed, i, time.Now().UnixNano()), config)
			ref := fmt.Sprint("back", i)
			err := eventually(t.Context(), recovery, func() error {
				a, err := c.putManifest(t.Context(), via.url, "kept/r0", ref, m, nil)
				if err != nil || !a.ok() {
					return fmt.Errorf("write: %v %w", a, err)
				}
				if a, err = c.do(t.Context(), http.MethodGet, manifestURL(via.url, "kept/r0", ref), accept(), nil); err != nil || digestOf(a.body) != m.digest {
					return fmt.Errorf("read: %v %w", a, err)
				}
				return nil
			})
			took[i] = time.Since(begin)
			if err != nil {
				t.Errorf("replica %d is not back: %v", via.number, err)
			}
		})
	}
	all.Wait()
	return took
}

// checkHistory compares what a tag pointed to, as the registry has it, with what was acknowledged: each move once, in
// order, and none that was refused.
func (k *kept) checkHistory(t *testing.T, c *client, via *replica) {
	t.Helper()
	var got []string
	for url := via.url + "/-/api/v1/repositories/" + strings.ReplaceAll(k.repo, "/", "%2F") + "/tags/" + k.tag + "/history?limit=100"; url != ""; {
		a, err := c.do(t.Context(), http.MethodGet, url, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if a.status == http.StatusNotFound && len(k.moves) == 0 {
			return
		}
		var page []struct{ Digest string }
		if err := json.Unmarshal(a.body, &page); err != nil || a.status != http.StatusOK {
			t.Fatalf("history: %s", a)
		}
		for _, p := range page {
			got = append(got, p.Digest)
		}
		next, _, more := strings.Cut(strings.TrimPrefix(a.header.Get("Link"), "<"), ">")
		if url = ""; more {
			url = via.url + next
		}
	}
	slices.Reverse(got) // the latest came first
	seen := map[string]int{}
	for _, digest := range got {
		seen[digest]++
	}
	at := 0
	for _, move := range k.moves {
		n := slices.Index(got[at:], move)
		if n < 0 || seen[move] != 1 {
			t.Errorf("%s:%s: the acknowledged move to %s is %d times in its history of %d", k.repo, k.tag, short(move), seen[move], len(got))
			continue
		}
		at += n + 1
	}
	for _, refused := range k.never {
		if refused != "" && seen[refused] > 0 {
			t.Errorf("%s:%s: the move to %s was refused and is in its history", k.repo, k.tag, short(refused))
		}
	}
}

// shelf is a package whose versions are published once each, and again when they were refused.
type shelf struct {
	c   *client
	d   *deployment
	log *load

	mu       sync.Mutex
	versions []publication
}

func newShelf(c *client, d *deployment, log *load) *shelf { return &shelf{c: c, d: d, log: log} }

// run publishes one version after the other. One that was refused, or whose fate is unknown, is sent again, with the same
// content: it may be there already, and is not there twice.
func (s *shelf) run(ctx context.Context, publisher int) {
	for v := 0; ctx.Err() == nil; v++ {
		p := genericPublication(fmt.Sprint("shelf", publisher), fmt.Sprintf("1.%d.0", v), fmt.Sprint(publisher, " ", v))
		for try := 0; ; try++ {
			a, err := p.send(context.WithoutCancel(ctx), s.c, s.d.at(publisher+v+try))
			if s.log.note(a, err) {
				break
			}
			<-time.After(50 * time.Millisecond)
			if try > 1000 {
				s.log.fault(fmt.Errorf("%s was never taken: %v %w", p.file, a, err))
				return
			}
		}
		s.mu.Lock()
		s.versions = append(s.versions, p)
		s.mu.Unlock()
	}
}

// check reads all versions by every replica, and counts how often each is listed.
func (s *shelf) check(t *testing.T) {
	t.Helper()
	for i, p := range s.versions {
		if err := p.served(t.Context(), s.c, s.d.at(i)); err != nil {
			t.Error(err)
		}
		a, err := s.c.do(t.Context(), http.MethodGet, s.d.at(i+1).url+p.index, http.Header{"Accept": {p.accept}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(a.body), p.listed); n != 1 {
			t.Errorf("%s lists %s %d times", p.index, p.listed, n)
		}
	}
}

// TestPostgresAway stops PostgreSQL for a while. Every request is answered 503 with a Retry-After within two seconds, and
// when PostgreSQL is back so is every replica, within five, with all that was acknowledged.
//
// Seen red: with a time limit per query in place of one per request (3.6 s).
func TestPostgresAway(t *testing.T) {
	d := deploy(t, setup{})
	if d.services == nil {
		t.Skip("one process over SQLite has no PostgreSQL")
	}
	ctx, postgres := t.Context(), d.services.Postgres
	c := newClient(time.Minute)
	defer c.close()
	log := newLoad(unavailable)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var back []time.Duration
	keepers := d.underLoad(t, c, log, func(context.Context) {
		for _, away := range []struct {
			name        string
			spoil, mend func() error
		}{
			{"down", postgres.Stop, func() error { return d.startPostgres(ctx) }},
			{"cut off", func() error { return d.database.Cut(ctx) }, func() error { return d.database.Heal(ctx) }},
			{"standing still", postgres.Pause, postgres.Resume},
		} {
			log.begin("PostgreSQL is " + away.name)
			must(away.spoil())
			<-time.After(span(5*time.Second, 30*time.Second))
			log.begin("back after being " + away.name)
			must(away.mend())
			back = append(back, d.recovers(t, c)...)
			log.begin("well again after being " + away.name)
			<-time.After(span(500*time.Millisecond, 5*time.Second))
		}
	})
	for _, k := range keepers {
		for _, kept := range k.tags {
			kept.checkHistory(t, c, d.at(k.id))
		}
	}
	t.Logf("each replica wrote and read again after %v", back)
}

// TestPostgresExhausted takes all connections that PostgreSQL has to give and ends the registry's. It answers 503 in time,
// and is back when there are connections again. A replica with few connections of its own answers many clients.
func TestPostgresExhausted(t *testing.T) {
	s := setup{env: []string{"PACKHOUSE_DATABASE__CONNECTIONS=4"}}
	s.postgres.Args = []string{"-c", "max_connections=25", "-c", "superuser_reserved_connections=0"}
	d := deploy(t, s)
	if d.services == nil {
		t.Skip("one process over SQLite has no PostgreSQL")
	}
	c := newClient(time.Minute)
	defer c.close()
	log := newLoad(unavailable)
	d.underLoad(t, c, log, func(ctx context.Context) {
		log.begin("64 more readers of 8 connections")
		crowd, leave := context.WithTimeout(ctx, span(2*time.Second, 20*time.Second))
		var all sync.WaitGroup
		for i := range 64 {
			all.Go(func() {
				for n := 0; crowd.Err() == nil; n++ {
					// Of a tag that is not there: memory has no answer.
					a, err := c.do(ctx, http.MethodGet, manifestURL(d.at(n).url, "kept/r0", fmt.Sprintf("none%d-%d", i, n)), accept(), nil)
					log.note(a, err, http.StatusNotFound)
				}
			})
		}
		all.Wait()
		leave()

		log.begin("no connection is left")
		held := occupy(ctx, t, d)
		<-time.After(span(3*time.Second, 15*time.Second))
		log.begin("connections are free again")
		for _, conn := range held {
			_ = conn.Close()
		}
		t.Logf("%d connections were held; each replica wrote and read again after %v", len(held), d.recovers(t, c))
	})
}

// occupy ends the registry's connections and opens new ones until PostgreSQL has none to give, again and again: the
// registry is faster now and then.
func occupy(ctx context.Context, t *testing.T, d *deployment) []net.Conn {
	t.Helper()
	var held []net.Conn
	first, err := backend(ctx, d.services.Postgres.Addr, d.place.Database)
	if err != nil {
		t.Fatal(err)
	}
	for range 40 {
		if _, err := first.Write(message('Q', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND application_name <> 'occupied'\x00")); err != nil {
			t.Fatal(err)
		}
		for {
			conn, err := backend(ctx, d.services.Postgres.Addr, d.place.Database)
			if err != nil {
				break
			}
			held = append(held, conn)
		}
		<-time.After(10 * time.Millisecond)
	}
	go func() { _, _ = io.Copy(io.Discard, first) }()
	return append(held, first)
}

// backend opens a connection to a database that does nothing.
//
// https://www.postgresql.org/docs/current/protocol-message-formats.html
func backend(ctx context.Context, addr, database string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	const version = 3 << 16
	body := binary.BigEndian.AppendUint32(nil, version)
	body = append(body, "user\x00packhouse\x00database\x00"+database+"\x00application_name\x00occupied\x00\x00"...)
	if _, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(4+len(body))), body...)); err != nil {
		_ = conn.Close()
		return nil, err
	}
	kind := make([]byte, 1)
	if _, err := io.ReadFull(conn, kind); err != nil || kind[0] != 'R' { // AuthenticationOk
		_ = conn.Close()
		return nil, fmt.Errorf("message %q: %w", kind, err)
	}
	return conn, nil
}

func message(kind byte, body string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(4+len(body))), body...)
}
