package packhouse

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/packhouse/packhouse/conformance/services"
)

// ReplicasEnv names the environment variable that makes every Start without Options.Replicas one of so many replicas.
const ReplicasEnv = "PACKHOUSE_REPLICAS"

func (o Options) replicas() (int, error) {
	text := os.Getenv(ReplicasEnv)
	if o.Replicas > 0 || text == "" {
		return o.Replicas, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("packhouse: %s is %q, want a number of processes", ReplicasEnv, text)
	}
	return n, nil
}

// places remembers what the registry of a data directory shares: a later start there finds it again.
var places struct {
	sync.Mutex
	known map[string]place // by data directory
}

type place struct {
	*services.Place
	env []string
}

// placeOf is what all replicas of a data directory share.
func placeOf(ctx context.Context, data string, env []string) (p place, err error) {
	places.Lock()
	defer places.Unlock()
	if known, ok := places.known[data]; ok {
		return known, nil
	}
	if !sets(env, "PACKHOUSE_DATABASE__URL") {
		set, err := services.Shared(ctx)
		if err != nil {
			return p, err
		}
		if p.Place, err = set.Place(ctx); err != nil {
			return p, err
		}
		p.env = p.Env("", "", "")
	}
	if !sets(env, "PACKHOUSE_SECRETS__KEY") {
		key := make([]byte, 32)
		_, _ = rand.Read(key) // it never fails
		p.env = append(p.env, "PACKHOUSE_SECRETS__KEY="+base64.StdEncoding.EncodeToString(key))
	}
	if !sets(env, "PACKHOUSE_TRUSTED_PROXIES") {
		p.env = append(p.env, "PACKHOUSE_TRUSTED_PROXIES=127.0.0.1") // the balancer
	}
	if places.known == nil {
		places.known = map[string]place{}
	}
	places.known[data] = p
	return p, nil
}

func sets(env []string, name string) bool {
	return slices.ContainsFunc(env, func(pair string) bool {
		return strings.HasPrefix(pair, name+"=") || strings.HasPrefix(pair, name+"_FILE=")
	})
}

// startReplicas starts n processes, the first of them in o.Data, and the balancer before them.
func startReplicas(ctx context.Context, o Options, n int) (_ *Server, err error) {
	data, err := filepath.Abs(o.Data)
	if err != nil {
		return nil, err
	}
	place, err := placeOf(ctx, data, o.Env)
	if err != nil {
		return nil, err
	}
	s := &Server{Data: data, LogFile: data + ".log", done: make(chan struct{}), Shared: place.env, Place: place.Place, Replicas: make([]*Server, n)}
	addr := o.Addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	scheme := "http://"
	var pair *keyPair
	if o.TLS {
		made, err := certificates(data + ".tls")
		if err != nil {
			return nil, err
		}
		scheme, pair, s.CACert = "https://", &made, made.authority
	}
	if s.balancer, err = listen(ctx, addr, pair); err != nil {
		return nil, err
	}
	s.Host = s.balancer.listener.Addr().String()
	s.URL = scheme + s.Host
	var starting sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		each := o
		each.Replicas, each.Addr, each.TLS, each.Data = 1, "", false, data
		each.Env = slices.Concat(place.env, o.Env)
		if i > 0 {
			each.Data = fmt.Sprintf("%s.replica%d", data, i+1)
		}
		starting.Go(func() { s.Replicas[i], errs[i] = startOne(ctx, each) })
	}
	starting.Wait()
	if err := errors.Join(errs...); err != nil {
		s.Replicas = slices.DeleteFunc(s.Replicas, func(r *Server) bool { return r == nil })
		_ = s.Kill()
		return nil, err
	}
	var hosts []string
	for _, r := range s.Replicas {
		hosts, s.StartedIn = append(hosts, r.Host), max(s.StartedIn, r.StartedIn)
	}
	s.MetricsURL = s.Replicas[0].MetricsURL
	s.balancer.serve(hosts)
	go s.awaitEnd()
	return s, nil
}

// Restart starts a replica that has ended again, on its address.
func (s *Server) Restart(ctx context.Context, i int) error {
	o := s.Replicas[i].options
	o.Addr = s.Replicas[i].Host
	fresh, err := startOne(ctx, o)
	if err == nil {
		s.Replicas[i] = fresh
	}
	return err
}

// Served is how many requests each replica was given.
func (s *Server) Served() []int64 {
	counts := make([]int64, len(s.Replicas))
	for i := range counts {
		counts[i] = s.balancer.served[i].Load()
	}
	return counts
}

// end ends the replicas at the same time, then the balancer.
func (s *Server) end(how func(*Server) error) error {
	errs := make([]error, len(s.Replicas))
	var ending sync.WaitGroup
	for i, r := range s.Replicas {
		ending.Go(func() { errs[i] = how(r) })
	}
	ending.Wait()
	return errors.Join(append(errs, s.balancer.close())...)
}

func (s *Server) awaitEnd() {
	for _, r := range slices.Clone(s.Replicas) {
		<-r.done
	}
	close(s.done)
}

func (s *Server) allLogs() string {
	var b strings.Builder
	for i, r := range s.Replicas {
		fmt.Fprintf(&b, "--- replica %d, %s\n%s", i+1, r.Host, r.Logs())
	}
	return b.String()
}
