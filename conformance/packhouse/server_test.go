package packhouse

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

func TestStartStopKill(t *testing.T) {
	t.Parallel()
	for _, tls := range []bool{false, true} {
		name := map[bool]string{false: "http", true: "https"}[tls]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := Options{Data: filepath.Join(t.TempDir(), "data"), TLS: tls}
			s := start(t, o)
			if !strings.HasPrefix(s.URL, name+"://127.0.0.1:") || strings.HasSuffix(s.URL, "/") {
				t.Errorf("URL = %q", s.URL)
			}
			if err := s.Kill(); err != nil {
				t.Fatalf("kill: %v", err)
			}
			if s, err := http.Get(s.URL + "/v2/"); err == nil {
				t.Errorf("a killed server answered %s", s.Status)
			}
			// The same directory, authority and log serve the next start.
			s = start(t, o)
			res, err := s.Client().Get(s.URL + "/v2/")
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			if err := s.Stop(); err != nil {
				t.Errorf("stop: %v\n%s", err, s.Logs())
			}
		})
	}
}

func TestStartReportsWhyTheServerEnded(t *testing.T) {
	t.Parallel()
	_, err := Start(t.Context(), Options{Data: filepath.Join(t.TempDir(), "data"), Args: []string{"--no-such-flag"}})
	if err == nil || !strings.Contains(err.Error(), "no-such-flag") {
		t.Fatalf("err = %v, want the server's own words", err)
	}
}

func start(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Kill() })
	return s
}
