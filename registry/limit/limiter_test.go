package limit

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/packhouse/packhouse/registry"
)

// wait returns the time that err tells to wait, 0 for none; another error fails t.
func wait(t *testing.T, err error) time.Duration {
	t.Helper()
	if err == nil {
		return 0
	}
	e, ok := errors.AsType[*registry.Error](err)
	if !ok || e.Code != registry.TooManyRequests || e.Message == "" {
		t.Fatalf("got %v, want TOOMANYREQUESTS with a sentence", err)
	}
	in, ok := e.Detail.(registry.RetryIn)
	if !ok || in <= 0 {
		t.Fatalf("detail %v of %v, want a time to wait", e.Detail, err)
	}
	return time.Duration(in)
}

// pass lets time go by.
func pass(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // in a bubble's time

func TestRequestsOfOneCaller(t *testing.T) {
	t.Parallel()
	limits := Config{Principal: Rate{PerSecond: 2, Burst: 3}, Address: Rate{PerSecond: 4, Burst: 6}}
	tests := []struct {
		name               string
		cfg                Config
		principal, address string
		exempt             bool
		want               int // requests at once; -1 for any number
	}{
		{"nothing configured", Config{}, "user:a", "192.0.2.1", false, -1},
		{"principal", limits, "user:a", "", false, 3},
		{"address", limits, "", "192.0.2.1", false, 6},
		{"both", limits, "user:a", "192.0.2.1", false, 3},
		{"exempt, address unknown", limits, "service:ci", "", true, -1},
		{"exempt, by address", limits, "service:ci", "192.0.2.1", true, 6},
		{"nobody in particular", limits, "anonymous", "", false, -1},
		{"the operator", limits, "operator", "", false, -1},
		{"no burst given", Config{Principal: Rate{PerSecond: 5}}, "user:a", "", false, 1},
		{"not an address", limits, "", "somewhere", false, 6},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := New(tt.cfg)
				got := 0
				for got < 1000 && wait(t, l.Request(tt.principal, tt.address, tt.exempt)) == 0 {
					got++
				}
				if want := tt.want; got != want && (want >= 0 || got != 1000) {
					t.Errorf("%d requests at once, want %d", got, want)
				}
			})
		})
	}
}

// TestRetryAfterIsEnough: who waits as long as told is let in, and who comes a
// little earlier is not.
func TestRetryAfterIsEnough(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{Principal: Rate{PerSecond: 0.3, Burst: 2}})
		ask := func() time.Duration { return wait(t, l.Request("user:a", "", false)) }
		ask()
		ask()
		for range 10 {
			told := ask()
			if told == 0 {
				t.Fatal("not refused")
			}
			pass(told - time.Millisecond)
			if ask() == 0 {
				t.Fatal("let in early")
			}
			pass(2 * time.Millisecond)
			if ask() != 0 {
				t.Fatalf("refused after waiting %s", told)
			}
		}
	})
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, a, b string
		same       bool
	}{
		{"two of IPv4", "192.0.2.1", "192.0.2.2", false},
		{"IPv4 as IPv6", "192.0.2.1", "::ffff:192.0.2.1", true},
		{"two of IPv4 as IPv6", "::ffff:192.0.2.1", "::ffff:192.0.2.2", false},
		{"one network of IPv6", "2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", true},
		{"two networks of IPv6", "2001:db8:0:1::1", "2001:db8:0:2::1", false},
		{"zones", "fe80::1%eth0", "fe80::2%eth1", true},
		{"no addresses", "somewhere", "elsewhere", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := New(Config{Address: Rate{PerSecond: 1e-9, Burst: 1}})
			if err := l.Request("", tt.a, false); err != nil {
				t.Fatal(err)
			}
			if same := l.Request("", tt.b, false) != nil; same != tt.same {
				t.Errorf("%s and %s are counted together: %t, want %t", tt.a, tt.b, same, tt.same)
			}
		})
	}
}

// TestNeverMoreThanTheRate: whatever others do to a small table, one caller gets
// at most burst + rate × time. The mutation that turns this red: start every
// new bucket full in bucket.heir, or forget entries that are not idle.
func TestNeverMoreThanTheRate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		r := Rate{PerSecond: rapid.Float64Range(0.01, 1000).Draw(rt, "rate"), Burst: rapid.IntRange(1, 20).Draw(rt, "burst")}
		type act struct {
			who, times int
			after      time.Duration
		}
		acts := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) act {
			return act{
				rapid.IntRange(0, 3).Draw(rt, "who"), rapid.IntRange(1, 30).Draw(rt, "times"),
				time.Duration(rapid.IntRange(0, int(30*float64(time.Second)/r.PerSecond)).Draw(rt, "after")),
			}
		}), 1, 200).Draw(rt, "acts")
		synctest.Test(t, func(t *testing.T) {
			l := New(Config{Principal: r, Entries: shards}) // one in each shard
			names := ofOneShard(l, 4)
			// What each may still have, if it were alone: never less than none.
			left, since := map[int]float64{}, time.Now()
			for who := range names {
				left[who] = float64(r.Burst)
			}
			for _, a := range acts {
				pass(a.after)
				for who := range left {
					left[who] = min(float64(r.Burst), left[who]+r.PerSecond*time.Since(since).Seconds())
				}
				since = time.Now()
				for range a.times {
					if l.Request(names[a.who], "", false) == nil {
						left[a.who]--
					}
				}
				if left[a.who] < -1e-6 {
					t.Fatalf("%s was admitted %.3f times too often", names[a.who], -left[a.who])
				}
			}
		})
	})
}

// ofOneShard returns n principals that are in each other's way.
func ofOneShard(l *Limiter, n int) []string {
	var names []string
	for i := 0; len(names) < n; i++ {
		if name := fmt.Sprint("user:", i); l.keys.name(name)%shards == 0 {
			names = append(names, name)
		}
	}
	return names
}

// TestNobodyGetsAFreshBucketByFillingTheTable tries it with a million names.
func TestNobodyGetsAFreshBucketByFillingTheTable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{Address: Rate{PerSecond: 1, Burst: 5}, Entries: 1024})
		mine, admitted := "198.51.100.7", 0
		for i := range 1_000_000 {
			if i%1000 == 0 && l.Request("", mine, false) == nil {
				admitted++
			}
			_ = l.Request("", fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), false)
		}
		if admitted != 5 {
			t.Errorf("%d requests admitted, want 5", admitted)
		}
		entries := 0
		for i := range l.addresses.table.shards {
			entries += len(l.addresses.table.shards[i].byKey)
		}
		if entries > 1024 {
			t.Errorf("%d entries, at most 1024 may be", entries)
		}
		// Once the flood is over, strangers are welcome again.
		pass(10 * time.Second)
		for i := range 500 {
			if err := l.Request("", fmt.Sprintf("203.0.%d.%d", i>>8, i&255), false); err != nil {
				t.Fatalf("stranger %d: %v", i, err)
			}
		}
	})
}

func TestBytesInFlight(t *testing.T) {
	t.Parallel()
	l := New(Config{BytesInFlight: 100})
	admit := func(principal string, n int64, ok bool) func() {
		t.Helper()
		release, err := l.Bytes(principal, n)
		if (err == nil) != ok || err != nil && !errors.Is(err, registry.TooManyRequests) {
			t.Fatalf("%d bytes of %s: %v, want admitted: %t", n, principal, err, ok)
		}
		return release
	}
	large := admit("user:a", 1000, true) // alone
	admit("user:a", 1, false)
	admit("user:b", 60, true)
	admit("user:b", 40, true)
	admit("user:b", 1, false)
	admit("user:b", 0, true)
	admit("", 1000, true)
	large()
	large()
	half := admit("user:a", 50, true)
	admit("user:a", 51, false)
	half()
	admit("user:a", 100, true)()
	if n := len(l.bytes.of); n != 1 { // user:b
		t.Errorf("%d principals remembered, want 1", n)
	}
	if n, err := New(Config{}).Bytes("user:a", 1<<40); err != nil {
		t.Error(err)
	} else {
		n()
	}
}

// TestManyAtOnce is for the race detector, and counts exactly all the same.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	l := New(Config{Principal: Rate{PerSecond: 1e-9, Burst: 100}, FailedLogins: Rate{PerSecond: 1e-9, Burst: 1000}, BytesInFlight: 1 << 20, Entries: 256})
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for n := range 500 {
				if l.Request("user:a", "", false) == nil {
					admitted.Add(1)
				}
				_ = l.Request(fmt.Sprint("user:", i, "-", n), "192.0.2.1", false)
				address := fmt.Sprintf("192.0.2.%d", n%256)
				_ = l.Login(address, "a")
				l.LoginFailed(address, fmt.Sprint("account", n))
				l.LoginSucceeded(address, "a")
				if release, err := l.Bytes("user:a", 1); err == nil {
					release()
				}
			}
		})
	}
	wg.Wait()
	if n := admitted.Load(); n != 100 {
		t.Errorf("%d admitted, want 100", n)
	}
}

func BenchmarkRequest(b *testing.B) {
	limited := Config{Principal: Rate{PerSecond: 1e9, Burst: 1e9}, Address: Rate{PerSecond: 1e9, Burst: 1e9}}
	for _, bb := range []struct {
		name               string
		cfg                Config
		principal, address string
	}{
		{"unlimited", Config{}, "user:alice", "192.0.2.1"},
		{"principal", limited, "user:alice", ""},
		{"address", limited, "", "192.0.2.1"},
		{"IPv6", limited, "", "2001:db8:0:1::1"},
	} {
		b.Run(bb.name, func(b *testing.B) {
			l := New(bb.cfg)
			for i := range 60_000 {
				_ = l.Request(fmt.Sprint("user:", i), "", false)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := l.Request(bb.principal, bb.address, false); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
