package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"golang.org/x/crypto/argon2"

	"github.com/packhouse/packhouse/registry"
)

// cheap is a hash of a password that costs next to nothing.
func cheap(password string) string {
	h := phc{memory: 8, time: 1, threads: 1, salt: []byte("12345678"), key: make([]byte, keySize)}
	h.key = h.hash(password)
	return h.String()
}

func TestPHC(t *testing.T) {
	t.Parallel()
	salt, key := []byte("somesaltsomesalt"), argon2.IDKey([]byte("password"), []byte("somesaltsomesalt"), 3, 64, 2, 16)
	b64 := base64.RawStdEncoding.EncodeToString
	tail := "$" + b64(salt) + "$" + b64(key)
	long := b64(make([]byte, mostSaltOrKey+1))
	tests := []struct {
		name, text string
		ok         bool
	}{
		{"other parameters", "$argon2id$v=19$m=64,t=3,p=2" + tail, true},
		{"most memory", "$argon2id$v=19$m=65536,t=3,p=2" + tail, true},
		{"most time", "$argon2id$v=19$m=64,t=10,p=2" + tail, true},
		{"too much memory", "$argon2id$v=19$m=65537,t=3,p=2" + tail, false},
		{"too much time", "$argon2id$v=19$m=64,t=11,p=2" + tail, false},
		{"too many threads", "$argon2id$v=19$m=64,t=3,p=5" + tail, false},
		{"numbers that wrap", "$argon2id$v=19$m=4294967360,t=3,p=2" + tail, false},
		{"no time", "$argon2id$v=19$m=64,t=0,p=2" + tail, false},
		{"negative", "$argon2id$v=19$m=64,t=-1,p=2" + tail, false},
		{"other order", "$argon2id$v=19$t=3,m=64,p=2" + tail, false},
		{"one more", "$argon2id$v=19$m=64,t=3,p=2,x=1" + tail, false},
		{"argon2i", "$argon2i$v=19$m=64,t=3,p=2" + tail, false},
		{"other version", "$argon2id$v=16$m=64,t=3,p=2" + tail, false},
		{"no version", "$argon2id$m=64,t=3,p=2" + tail, false},
		{"no hash", "$argon2id$v=19$m=64,t=3,p=2$" + b64(salt), false},
		{"empty hash", "$argon2id$v=19$m=64,t=3,p=2$" + b64(salt) + "$", false},
		{"short salt", "$argon2id$v=19$m=64,t=3,p=2$YWJj$" + b64(key), false},
		{"long hash", "$argon2id$v=19$m=64,t=3,p=2$" + b64(salt) + "$" + long, false},
		{"padding", "$argon2id$v=19$m=64,t=3,p=2" + tail + "==", false},
		{"bcrypt", "$2y$05$abcdefghijklmnopqrstuv", false},
		{"empty", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h, err := parsePHC(tt.text)
			if (err == nil) != tt.ok {
				t.Fatalf("parsePHC(%q): %v", tt.text, err)
			}
			if tt.ok && h.String() != tt.text {
				t.Errorf("String is %q, want %q", h, tt.text)
			}
		})
	}
	h, err := parsePHC(tests[0].text)
	if err != nil || !h.matches("password") || h.matches("Password") {
		t.Errorf("password of other parameters: %v, %t, %t", err, h.matches("password"), h.matches("Password"))
	}
	if got := newPHC("x"); !strings.HasPrefix(got.String(), "$argon2id$v=19$m=19456,t=2,p=1$") || !got.matches("x") || got.String() == newPHC("x").String() {
		t.Errorf("new hash %q", got)
	}
}

// TestHashPool: of many at once a few run, a few wait, the rest are sent away.
func TestHashPool(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newHashPool()
		cores := runtime.GOMAXPROCS(0)
		run := max(1, cores/2)
		var running, most, ran, away atomic.Int64
		var wg sync.WaitGroup
		hold := make(chan struct{})
		for range 200 {
			wg.Go(func() {
				err := p.run(t.Context(), func() {
					if n := running.Add(1); n > most.Load() {
						most.Store(n)
					}
					<-hold
					running.Add(-1)
					ran.Add(1)
				})
				if errors.Is(err, registry.TooManyRequests) {
					away.Add(1)
				} else if err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if want := int64(200 - run - 2*cores); away.Load() != want {
			t.Errorf("%d were sent away, want %d", away.Load(), want)
		}
		close(hold)
		wg.Wait()
		if most.Load() != int64(run) || ran.Load() != int64(run+2*cores) {
			t.Errorf("%d at once, want %d; %d in all, want %d", most.Load(), run, ran.Load(), run+2*cores)
		}
		// Who gave up while waiting did not run, and left the queue.
		hold = make(chan struct{})
		for range run {
			wg.Go(func() { _ = p.run(t.Context(), func() { <-hold }) })
		}
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		wg.Go(func() {
			if err := p.run(ctx, func() { t.Error("it ran") }); !errors.Is(err, context.Canceled) {
				t.Errorf("error is %v, want canceled", err)
			}
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(hold)
		wg.Wait()
		if len(p.admitted) != 0 || len(p.running) != 0 {
			t.Errorf("%d and %d are left in the pool", len(p.admitted), len(p.running))
		}
	})
}
