package seal

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func box(t *testing.T, keys ...[]byte) *Box {
	t.Helper()
	b, err := New(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSealAndOpen(t *testing.T) {
	t.Parallel()
	b := box(t, GenerateKey())
	for _, plain := range []string{"", "x", strings.Repeat("long ", 1000)} {
		one, two := b.Seal("purpose", "row", []byte(plain)), b.Seal("purpose", "row", []byte(plain))
		if bytes.Equal(one, two) {
			t.Errorf("%.5q is sealed the same twice", plain)
		}
		if len(plain) > 8 && bytes.Contains(one, []byte(plain)) { // a short one may be there by chance
			t.Errorf("%.5q can be read", plain)
		}
		got, err := b.Open("purpose", "row", one)
		if err != nil || string(got) != plain {
			t.Errorf("%.5q: got %.5q, %v", plain, got, err)
		}
	}
}

func TestWhatWasChangedDoesNotOpen(t *testing.T) {
	t.Parallel()
	b := box(t, GenerateKey())
	sealed := b.Seal("purpose", "row", []byte("secret"))
	for i := range sealed {
		for bit := range 8 {
			changed := bytes.Clone(sealed)
			changed[i] ^= 1 << bit
			got, err := b.Open("purpose", "row", changed)
			want := ErrBroken
			if i > 0 && i < headerSize {
				want = ErrNoKey
			}
			if !errors.Is(err, want) || got != nil {
				t.Fatalf("byte %d, bit %d: got %q, %v, want %v", i, bit, got, err, want)
			}
		}
		if _, err := b.Open("purpose", "row", sealed[:i]); !errors.Is(err, ErrBroken) {
			t.Fatalf("cut to %d bytes: %v", i, err)
		}
	}
	if _, err := b.Open("purpose", "row", append(bytes.Clone(sealed), 0)); !errors.Is(err, ErrBroken) {
		t.Errorf("longer: %v", err)
	}
}

// The mutation that turns the last two red: leave the lengths out of associated.
func TestWhatWasSealedForSomethingElseDoesNotOpen(t *testing.T) {
	t.Parallel()
	b := box(t, GenerateKey())
	sealed := b.Seal("ab", "c", []byte("secret"))
	for _, c := range []struct{ purpose, row string }{{"", ""}, {"ab", ""}, {"ab", "d"}, {"c", "ab"}, {"abc", ""}, {"a", "bc"}} {
		if _, err := b.Open(c.purpose, c.row, sealed); !errors.Is(err, ErrBroken) {
			t.Errorf("%q, %q: %v", c.purpose, c.row, err)
		}
	}
}

func TestKeysChange(t *testing.T) {
	t.Parallel()
	first, second := GenerateKey(), GenerateKey()
	sealed := box(t, first).Seal("purpose", "row", []byte("secret"))
	if _, err := box(t, second).Open("purpose", "row", sealed); !errors.Is(err, ErrNoKey) {
		t.Errorf("another key: %v", err)
	}
	both := box(t, second, first)
	if got, err := both.Open("purpose", "row", sealed); err != nil || string(got) != "secret" {
		t.Errorf("both keys: %q, %v", got, err)
	}
	fresh, changed, err := both.Reseal("purpose", "row", sealed)
	if err != nil || !changed {
		t.Fatalf("reseal: %v, %v", changed, err)
	}
	if got, err := box(t, second).Open("purpose", "row", fresh); err != nil || string(got) != "secret" {
		t.Errorf("resealed: %q, %v", got, err)
	}
	if again, changed, err := both.Reseal("purpose", "row", fresh); err != nil || changed || !bytes.Equal(again, fresh) {
		t.Errorf("resealed again: %v, %v", changed, err)
	}
	if _, _, err := both.Reseal("other", "row", sealed); !errors.Is(err, ErrBroken) {
		t.Errorf("reseal for something else: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string][][]byte{"no key": nil, "short": {make([]byte, 31)}, "second long": {make([]byte, 32), make([]byte, 33)}} {
		if _, err := New(keys...); err == nil {
			t.Errorf("%s: a box was made", name)
		}
	}
}

func TestLoadOrCreate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret.key")
	sealed := make([][]byte, 16)
	boxes := make([]*Box, len(sealed))
	var wg sync.WaitGroup
	for i := range sealed {
		wg.Go(func() {
			b, err := LoadOrCreate(path)
			if err != nil {
				t.Error(err)
				return
			}
			boxes[i], sealed[i] = b, b.Seal("p", "r", []byte("secret"))
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	for i := range sealed {
		if _, err := boxes[0].Open("p", "r", sealed[i]); err != nil {
			t.Errorf("opener %d got another key: %v", i, err)
		}
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("left beside it: %v, %v", entries, err)
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	key := base64.StdEncoding.EncodeToString(GenerateKey())
	for _, c := range []struct {
		name, text string
		mode       os.FileMode
		want       string // "" for fine
	}{
		{"fine", "# a comment\n\n" + key + " # the newest\n" + key + "\n", 0o600, ""},
		{"readable by others", key, 0o644, "chmod 600"},
		{"writable by the group", key, 0o620, "chmod 600"},
		{"empty", "", 0o600, "no key"},
		{"comments alone", "# none\n", 0o600, "no key"},
		{"no base64", "not " + key, 0o600, "line 1"},
		{"short", key + "\n" + base64.StdEncoding.EncodeToString(make([]byte, 31)), 0o600, "line 2"},
		{"large", strings.Repeat("#", maxKeyFile+1), 0o600, "the limit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "secret.key")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, c.mode); err != nil {
				t.Fatal(err)
			}
			_, err := LoadOrCreate(path)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), key[:8]) {
				t.Errorf("%v shows the key", err)
			}
			if text, readErr := os.ReadFile(path); readErr != nil || string(text) != c.text {
				t.Errorf("the file was changed: %v", readErr)
			}
		})
	}
}
