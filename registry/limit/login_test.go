package limit

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// guess tries a wrong secret, and returns how long to wait if it may not.
func guess(t *testing.T, l *Limiter, address, account string) time.Duration {
	t.Helper()
	if w := wait(t, l.Login(address, account)); w > 0 {
		return w
	}
	l.LoginFailed(address, account)
	return 0
}

func TestFailuresOfOneAddress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := New(Default())
		n := 0
		for ; guess(t, l, "192.0.2.1", fmt.Sprint("account", n)) == 0; n++ {
		}
		if n != 20 {
			t.Errorf("%d guesses at once, want 20", n)
		}
		begin, n := time.Now(), 0
		for time.Since(begin) < 10*time.Minute {
			if w := guess(t, l, "192.0.2.1", fmt.Sprint("other", n)); w > 0 {
				pass(w)
			} else {
				n++
			}
		}
		if n < 99 || n > 101 {
			t.Errorf("%d guesses in ten minutes, want 100", n)
		}
		if w := guess(t, l, "192.0.2.2", "account1"); w > 0 {
			t.Errorf("another address must wait %s", w)
		}
	})
}

func TestDelayGrows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{FailedLogins: Rate{PerSecond: 100, Burst: 1000}})
		var got []time.Duration
		for len(got) < 9 {
			if w := guess(t, l, "192.0.2.1", "alice"); w > 0 {
				got = append(got, w)
				pass(w)
			}
		}
		want := []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60}
		for i, w := range want {
			if got[i] != w*time.Second {
				t.Fatalf("waits %v, want %v seconds", got, want)
			}
		}
		if w := guess(t, l, "192.0.2.1", "bob"); w > 0 {
			t.Errorf("another account must wait %s", w)
		}
		// A right one, or a quarter of an hour, and all is forgotten.
		pass(time.Minute)
		if err := l.Login("192.0.2.1", "alice"); err != nil {
			t.Fatal(err)
		}
		l.LoginSucceeded("192.0.2.1", "alice")
		for range freeFailures {
			if w := guess(t, l, "192.0.2.1", "alice"); w > 0 {
				t.Errorf("must wait %s after a right password", w)
			}
		}
		guess(t, l, "192.0.2.1", "alice")
		if guess(t, l, "192.0.2.1", "alice") == 0 {
			t.Error("no wait after failures")
		}
		pass(forgetAfter)
		for range freeFailures {
			if w := guess(t, l, "192.0.2.1", "alice"); w > 0 {
				t.Errorf("must wait %s after %s", w, forgetAfter)
			}
		}
	})
}

// TestTheRightPasswordGetsIn: a thousand addresses guess at one account for an
// hour. Each gets far fewer guesses than it would alone, and its owner logs in
// from elsewhere at the first try, at any time.
func TestTheRightPasswordGetsIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := New(Default())
		begin, next, guesses := time.Now(), [1000]time.Time{}, 0
		for minute := 0; time.Since(begin) < time.Hour; pass(time.Second) {
			for i := range next {
				address := fmt.Sprintf("10.0.%d.%d", i>>8, i&255)
				if time.Now().Before(next[i]) {
					continue
				}
				if w := guess(t, l, address, "alice"); w > 0 {
					next[i] = time.Now().Add(w)
				} else {
					guesses++
				}
			}
			if m := int(time.Since(begin) / time.Minute); m > minute {
				minute = m
				mine := fmt.Sprintf("192.0.2.%d", m)
				if err := l.Login(mine, "alice"); err != nil {
					t.Fatalf("after %s: %v", time.Since(begin), err)
				}
				l.LoginSucceeded(mine, "alice")
			}
		}
		if perAddress := guesses / len(next); perAddress > 75 { // 60 of a minute each, and those before
			t.Errorf("%d guesses per address in an hour", perAddress)
		}
	})
}

func TestLoginsUnlimited(t *testing.T) {
	t.Parallel()
	l := New(Config{})
	for range 1000 {
		if w := guess(t, l, "192.0.2.1", "alice"); w > 0 {
			t.Fatalf("must wait %s", w)
		}
	}
}

// TestFailuresAreNotForgottenUnderAttack: names that nobody has fill the table,
// and the guesses at one account stay as slow.
func TestFailuresAreNotForgottenUnderAttack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{FailedLogins: Rate{PerSecond: 1e6, Burst: 1e6}, Entries: 1024}
		l, guesses := New(cfg), 0
		for second := range 120 {
			for i := range 2000 {
				l.LoginFailed("198.51.100.1", fmt.Sprint("account", second, "-", i))
			}
			if guess(t, l, "192.0.2.1", "alice") == 0 {
				guesses++
			}
			pass(time.Second)
		}
		if guesses > freeFailures+7 { // at 1, 2, 4, 8, 16, 32 and 60 seconds
			t.Errorf("%d guesses in two minutes, want at most %d", guesses, freeFailures+7)
		}
	})
}
