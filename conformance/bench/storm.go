package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	stormLogIns      = 1000 // a minute
	stormAccounts    = 1000 // half of them are nobody's
	stormAddresses   = 500
	stormPasswords   = 20 // users that do have a password
	stormConnections = 16
	pullRate         = 500 // requests a second
	pullConnections  = 8
	stormMemory      = 256 // MiB
)

// storm measures pulls while somebody guesses passwords, beside pulls while nobody does. The pulls come at a fixed rate,
// which leaves the processors some rest: a latency counts from when the pull was due.
func (b *bench) storm(ctx context.Context, a *accounts, im image) error {
	seconds := b.amount(60, 4)
	pulls := func(seconds int) (measurement, error) {
		return a.pulls(ctx, manifestPath(imageRepo, im.digest), seconds)
	}
	if _, err := pulls(1); err != nil { // warm up
		return err
	}
	// The quiet time is before and after, so that a machine that becomes slower does not speak for either.
	before, err := pulls(seconds / 2)
	if err != nil {
		return err
	}
	if err := forgetPeak(a.pid); err != nil {
		return err
	}
	var answers map[int]int
	var stormErr error
	var group sync.WaitGroup
	group.Go(func() { answers, stormErr = a.guess(ctx, seconds*stormLogIns/60) })
	during, err := pulls(seconds)
	group.Wait()
	if err := errors.Join(err, stormErr); err != nil {
		return err
	}
	peak, err := memoryOf(a.pid, "VmHWM")
	if err != nil {
		return err
	}
	after, err := pulls(seconds - seconds/2)
	if err != nil {
		return err
	}
	const stormName = packhouseName + ", storm"
	name := fmt.Sprintf("manifest GET by digest, %d a second, while %d wrong passwords a minute come", pullRate, stormLogIns)
	w := row{name: name, unit: "requests", peers: []string{packhouseName, stormName}, runs: map[string][]measurement{packhouseName: {before, after}, stormName: {during}}}
	b.report.compare(w)
	quiet := median([]time.Duration{before.p99, after.p99})
	said := counts(answers)
	fmt.Fprintf(b.log, "   %s: p50 %s, p99 %s, without %s and %s; %s; %.3g MiB\n", name, latency(during.p50), latency(during.p99), latency(median([]time.Duration{before.p50, after.p50})), latency(quiet), said, peak)
	b.report.atMost(name+", p99", during.p99.Seconds()/quiet.Seconds(), 2, "×", fmt.Sprintf("of %s without; answers to the log-ins: %s", latency(quiet), said))
	b.report.atMost("peak RSS in that time", peak, stormMemory, "MiB", "")
	b.report.setting("storm: %d accounts, of which %d have a password, from %d addresses by X-Forwarded-For, over %d connections", stormAccounts, stormPasswords, stormAddresses, stormConnections)
	return nil
}

// pulls asks for target at the fixed rate, with a token.
func (a *accounts) pulls(ctx context.Context, target string, seconds int) (measurement, error) {
	header := acceptHeader + "\r\n" + basicHeader(a.users[0], a.tokens[0]) + "\r\n"
	n := seconds * pullRate
	return measured(a.peer, float64(n), func() ([]time.Duration, error) {
		late := make([]time.Duration, n)
		begin := time.Now()
		_, err := each(ctx, a.addr, pullConnections, n, func(c *conn, i int) error {
			due := begin.Add(time.Duration(i) * time.Second / pullRate)
			await(ctx, due)
			_, err := c.drop(request{method: http.MethodGet, target: target, header: header, want: http.StatusOK})
			late[i] = time.Since(due)
			return err
		})
		return late, err
	})
}

// guess logs in n times with wrong passwords, evenly over time, and returns how often each status came.
func (a *accounts) guess(ctx context.Context, n int) (map[int]int, error) {
	answers := map[int]int{}
	var mu sync.Mutex
	begin := time.Now()
	_, err := each(ctx, a.addr, stormConnections, n, func(c *conn, i int) error {
		await(ctx, begin.Add(time.Duration(i)*time.Minute/stormLogIns))
		user := fmt.Sprintf("nobody-%03d", i%stormAccounts)
		if i%2 == 0 {
			user = a.users[i%stormAccounts%len(a.users)]
		}
		address := i % stormAddresses
		header := basicHeader(user, fmt.Sprint("a wrong password ", i)) + fmt.Sprintf("\r\nX-Forwarded-For: 203.0.%d.%d\r\n", 113+address/250, 1+address%250)
		res, err := c.send(request{method: http.MethodGet, target: "/v2/", header: header})
		if err != nil {
			return err
		}
		mu.Lock()
		answers[res.StatusCode]++
		mu.Unlock()
		return res.Body.Close() // reads the rest
	})
	return answers, err
}

// await returns at a time, or when ctx ends.
func await(ctx context.Context, at time.Time) {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func counts(answers map[int]int) string {
	var parts []string
	for _, status := range slices.Sorted(maps.Keys(answers)) {
		parts = append(parts, fmt.Sprintf("%d × %d", answers[status], status))
	}
	return strings.Join(parts, ", ")
}
