package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// measurement is what one turn of one peer gave.
type measurement struct {
	work     float64 // in the row's unit
	took     time.Duration
	p50, p99 time.Duration
	server   time.Duration // processor time of the server; 0 when there is none
	loader   time.Duration // processor time of the loader
}

func (m measurement) rate() float64 { return m.work / m.took.Seconds() }

// measured runs load, which returns the latency of each operation, and notes what it cost.
func measured(p *peer, work float64, load func() ([]time.Duration, error)) (measurement, error) {
	before, err := processorTime(p.pid)
	if err != nil {
		return measurement{}, err
	}
	own := ownTime()
	begin := time.Now()
	latencies, err := load()
	m := measurement{work: work, took: time.Since(begin), loader: ownTime() - own}
	if err != nil {
		return measurement{}, fmt.Errorf("%s: %w", p.name, err)
	}
	after, err := processorTime(p.pid)
	if err != nil {
		return measurement{}, err
	}
	m.server = after - before
	m.p50, m.p99 = percentile(latencies, 50), percentile(latencies, 99)
	return m, nil
}

// percentile is the smallest latency that p percent of all do not exceed. It sorts.
func percentile(latencies []time.Duration, p int) time.Duration {
	if len(latencies) == 0 {
		return 0
	}
	slices.Sort(latencies)
	return latencies[(len(latencies)*p+99)/100-1]
}

// ownTime is the processor time of this program and of the clients that it ran.
func ownTime() time.Duration {
	var sum time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		_ = syscall.Getrusage(who, &u) // it cannot fail with these arguments
		sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return sum
}

// each calls do for 0 … n-1 from so many connections at once and returns the latency of each call, or the first error.
func each(ctx context.Context, addr string, connections, n int, do func(c *conn, i int) error) ([]time.Duration, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	latencies := make([]time.Duration, n)
	var next atomic.Int64
	var group sync.WaitGroup
	for range connections {
		c, err := dial(ctx, addr)
		if err != nil {
			cancel(err)
			break
		}
		group.Go(func() {
			defer c.close()
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				begin := time.Now()
				if err := do(c, i); err != nil {
					cancel(err)
					return
				}
				latencies[i] = time.Since(begin)
			}
		})
	}
	group.Wait()
	return latencies, context.Cause(ctx)
}

const (
	wrkThreads     = 1
	wrkConnections = 16
)

// wrkScript makes wrk print its exact figures; it runs once, after the load.
const wrkScript = `done = function(summary, latency)
	local e = summary.errors
	io.write(string.format('{"requests":%d,"us":%d,"p50":%d,"p99":%d,"errors":%d}\n', summary.requests, summary.duration,
		latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
`

// wrk asks for target again and again over 16 connections, for a whole number of seconds; header lines have no ends.
func wrk(ctx context.Context, p *peer, dir, target string, header []string, seconds int) (measurement, error) {
	return wrkScripted(ctx, p, dir, target, header, seconds, "")
}

// wrkScripted is wrk with more of a script.
func wrkScripted(ctx context.Context, p *peer, dir, target string, header []string, seconds int, more string) (measurement, error) {
	before, err := processorTime(p.pid)
	if err != nil {
		return measurement{}, err
	}
	m, err := wrkOver(ctx, p, dir, target, header, seconds, wrkConnections, more)
	if err != nil {
		return measurement{}, err
	}
	after, err := processorTime(p.pid)
	m.server = after - before
	return m, err
}

// wrkOver is wrkScripted over so many connections; it does not look at the server's processor time.
func wrkOver(ctx context.Context, p *peer, dir, target string, header []string, seconds, connections int, more string) (m measurement, err error) {
	script, err := os.CreateTemp(dir, "wrk-*.lua")
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, os.Remove(script.Name())) }()
	_, err = script.WriteString(wrkScript + more)
	if err := errors.Join(err, script.Close()); err != nil {
		return m, err
	}
	args := []string{fmt.Sprintf("--threads=%d", wrkThreads), fmt.Sprintf("--connections=%d", connections), fmt.Sprintf("--duration=%ds", seconds), "--script=" + script.Name()}
	for _, line := range header {
		args = append(args, "--header="+line)
	}
	cmd := exec.CommandContext(ctx, "wrk", append(args, "http://"+p.addr+target)...) //nolint:gosec // the address and the target are our own
	out, err := cmd.CombinedOutput()
	if err != nil {
		return m, fmt.Errorf("wrk on %s: %w\n%s", p.name, err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	var result struct{ Requests, US, P50, P99, Errors int64 }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &result); err != nil {
		return measurement{}, fmt.Errorf("wrk on %s: %w\n%s", p.name, err, out)
	}
	if result.Errors > 0 || result.Requests == 0 {
		return measurement{}, fmt.Errorf("wrk on %s: %d errors in %d requests\n%s", p.name, result.Errors, result.Requests, out)
	}
	us := func(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
	return measurement{
		work: float64(result.Requests), took: us(result.US), p50: us(result.P50), p99: us(result.P99),
		loader: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(),
	}, nil
}
