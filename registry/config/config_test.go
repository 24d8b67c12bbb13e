package config_test

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/packhouse/packhouse/registry/config"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestDefaultIsValid(t *testing.T) {
	t.Parallel()
	if err := config.Default().Check(); err != nil {
		t.Error(err)
	}
}

// Each testdata/*.yaml stands beside NAME.golden: the effective configuration,
// or the error.
func TestFiles(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files (%v)", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			var got []byte
			c, err := config.Load(config.Sources{File: file})
			if err != nil {
				got = []byte(err.Error() + "\n")
			} else if got, err = c.YAML(); err != nil {
				t.Fatal(err)
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".golden", got)
		})
	}
}

func TestSchema(t *testing.T) {
	t.Parallel()
	got, err := config.Schema()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/schema.json", got)
}

func TestPrintedConfigurationLoadsAgain(t *testing.T) {
	t.Parallel()
	want, err := config.Load(config.Sources{File: "testdata/full.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	want.Storage.Params = want.Storage.Params.Redacted()
	printed, err := want.YAML()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "printed.yaml")
	if err := os.WriteFile(file, printed, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := config.Load(config.Sources{File: file})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("printed and loaded differ (-want +got):\n%s", diff)
	}
}

func TestSources(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte("data: /from/file\nlog: {level: warn, format: json}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(config.Sources{
		File: file,
		Env: []string{
			"PACKHOUSE_LOG__LEVEL=debug", "PACKHOUSE_DATA=/from/env", "PACKHOUSE_MANIFESTS__SPARSE=true",
			"PACKHOUSE_FORMATS__NPM__UNPUBLISH_WINDOW=24h",
			"PACKHOUSE_LIMITS__BLOB=1GiB", "PACKHOUSE_TRUSTED_PROXIES=10.0.0.0/8, ::1/128",
			"PACKHOUSE_STORAGE__PARAMS__SECRETKEY_FILE=" + secret,
			// Not settings: test tools and service discovery make these.
			"PACKHOUSE_BIN=/x", "PACKHOUSE_PORT=tcp://10.0.0.1:5000", "PACKHOUSE_SERVICE_HOST=10.0.0.1", "PATH=/bin",
		},
		Flags: map[string]string{"data": "/from/flag", "uploads.ttl": "2d"},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := []any{
		c.Data, c.Log.Level, c.Log.Format, c.Manifests.Sparse, c.Limits.Blob, len(c.TrustedProxies),
		c.Storage.Params["secretkey"], time.Duration(c.Uploads.TTL), c.Formats["npm"]["unpublish_window"],
	}
	want := []any{"/from/flag", "debug", "json", true, config.GiB, 2, "s3cret", 48 * time.Hour, "24h"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSourceErrors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		in   config.Sources
		want string
	}{
		{"unknown variable", config.Sources{Env: []string{"PACKHOUSE_LOG__LEVELS=debug"}}, `environment variable PACKHOUSE_LOG__LEVELS: unknown key "log.levels": the nearest known key is "log.level"`},
		{"bad value", config.Sources{Env: []string{"PACKHOUSE_LOG__ACCESS=maybe"}}, `environment variable PACKHOUSE_LOG__ACCESS: log.access: "maybe" is not true or false`},
		{"section", config.Sources{Env: []string{"PACKHOUSE_LOG=debug"}}, `environment variable PACKHOUSE_LOG: "log" is a section, not a value: set one of its keys`},
		{"missing secret", config.Sources{Env: []string{"PACKHOUSE_DATA_FILE=/nowhere/secret"}}, "environment variable PACKHOUSE_DATA_FILE: read the value: open /nowhere/secret: no such file or directory"},
		{"missing file", config.Sources{File: "/nowhere/c.yaml"}, "read configuration: open /nowhere/c.yaml: no such file or directory"},
		{"flag", config.Sources{Flags: map[string]string{"addr": "5000"}}, "addr: \"5000\" is not HOST:PORT, such as 127.0.0.1:5000"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load(tc.in)
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(tc.want, err.Error()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestBytesAndDurations(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		in   string
		want config.Bytes
		ok   bool
	}{
		{"4MiB", 4 << 20, true},
		{"512 KiB", 512 << 10, true},
		{"1234", 1234, true},
		{"0", 0, true},
		{"-1", 0, false},
		{"4MB", 0, false},
		{"9999999TiB", 0, false},
		{"", 0, false},
	} {
		var got config.Bytes
		err := got.UnmarshalText([]byte(tc.in))
		if got != tc.want || (err == nil) != tc.ok {
			t.Errorf("%q = %d, %v", tc.in, got, err)
		}
	}
	for in, want := range map[string]string{"90s": "1m30s", "7d": "7d", "48h": "2d", "60m": "1h", "1500ms": "1.5s", "0": "0s"} {
		var d config.Duration
		if err := d.UnmarshalText([]byte(in)); err != nil || d.String() != want {
			t.Errorf("%q = %s, %v, want %s", in, d, err, want)
		}
	}
}

func TestIsLoopback(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]bool{
		"127.0.0.1:5000": true, "127.8.9.1:0": true, "[::1]:5000": true, "localhost:5000": true, "LOCALHOST.:1": true,
		"app.localhost:5000": true, "[::ffff:127.0.0.1]:1": true,
		":5000": false, "0.0.0.0:5000": false, "[::]:5000": false, "192.168.1.2:5000": false, "localhost.example.com:1": false,
		"127.0.0.1.example.com:1": false, "notlocalhost:1": false,
	} {
		if got := config.IsLoopback(addr); got != want {
			t.Errorf("IsLoopback(%q) = %v", addr, got)
		}
	}
}

func FuzzFile(f *testing.F) {
	f.Add("addr: 127.0.0.1:1\nlimits: {manifest: 1MiB}\n")
	f.Add("a: &x [*x]\n---\n")
	f.Fuzz(func(t *testing.T, content string) {
		file := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(config.Sources{File: file})
		if err != nil {
			return
		}
		if _, err := c.YAML(); err != nil {
			t.Errorf("%q loads but does not print: %v", content, err)
		}
	})
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}
