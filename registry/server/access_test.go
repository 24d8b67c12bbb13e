package server

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/auth"
	"github.com/packhouse/packhouse/registry/config"
	"github.com/packhouse/packhouse/registry/obs"
)

// operations is an API without any.
type operations struct{ http.Handler }

func (operations) Operation(*http.Request) string { return "" }

// guarded is a server that asks for credentials, and its administrator's token.
func guarded(t *testing.T, change func(*config.Config)) (*Backend, *running, string) {
	t.Helper()
	c := config.Default()
	c.Addr, c.MetricsAddr, c.Data, c.Auth = "127.0.0.1:0", "", t.TempDir(), config.AuthOn
	if change != nil {
		change(&c)
	}
	log := slog.New(slog.DiscardHandler)
	b, err := Open(t.Context(), c, nil, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	token, made, err := b.Auth.Bootstrap(t.Context())
	if err != nil || !made {
		t.Fatalf("bootstrap: %v, %v", made, err)
	}
	r := start(t, func(o *Options) {
		_ = o.Dir.Close()
		o.Config, o.Dir, o.Registry, o.Gate, o.Auth, o.Limits, o.Feeds = c, b.Dir, b.Engine, b.Gate(), b.Auth, b.Limits, b.Feeds
		o.Redirect, o.Public = b.RedirectURL(), b.Public
		o.Mounts = b.Mounts(operations{http.NotFoundHandler()})
		o.Metrics = obs.NewMetrics(obs.Build{})
	})
	return b, r, token
}

// as is a context in which an operator acts.
func asOperator(t *testing.T) context.Context {
	t.Helper()
	return registry.WithCaller(t.Context(), &registry.Caller{Principal: "operator", Identity: &auth.Identity{Kind: auth.Operator}})
}

// send makes one request; credentials are "user:password", a token, or "".
func (r *running) send(t *testing.T, method, path, credentials, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if user, password, basic := strings.Cut(credentials, ":"); basic {
		req.SetBasicAuth(user, password)
	} else if credentials != "" {
		req.Header.Set("Authorization", "Bearer "+credentials)
	}
	res, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(text)
}

// The dance of Docker's clients: a challenge, a token, the request again.
func TestTokenProtocol(t *testing.T) {
	t.Parallel()
	_, r, admin := guarded(t, nil)
	res, _ := r.send(t, "GET", "/v2/", "", "")
	host := strings.TrimPrefix(r.URL(), "http://")
	if got, want := res.Header.Get("WWW-Authenticate"), `Bearer realm="`+r.URL()+`/token",service="`+host+`"`; res.StatusCode != 401 || got != want {
		t.Fatalf("anonymous: %d, %s, want %s", res.StatusCode, got, want)
	}
	res, _ = r.send(t, "POST", "/v2/acme/app/blobs/uploads/", "", "")
	if got, want := res.Header.Get("WWW-Authenticate"), `scope="repository:acme/app:pull,push"`; res.StatusCode != 401 || !strings.Contains(got, want) {
		t.Fatalf("push: %d, %s, want %s", res.StatusCode, got, want)
	}
	get := func(scope, credentials string) string {
		t.Helper()
		res, body := r.send(t, "GET", "/token?service="+host+"&scope="+scope, credentials, "")
		var answer struct{ Token string }
		if err := json.Unmarshal([]byte(body), &answer); err != nil || res.StatusCode != 200 || answer.Token == "" {
			t.Fatalf("token: %d %s %v", res.StatusCode, body, err)
		}
		return answer.Token
	}
	push := get("repository:acme/app:pull,push", "admin:"+admin)
	for _, step := range []struct {
		name, method, path, credentials string
		want                            int
	}{
		{"version check", "GET", "/v2/", push, 200},
		{"what it is for", "POST", "/v2/acme/app/blobs/uploads/", push, 202},
		{"another repository", "POST", "/v2/acme/web/blobs/uploads/", push, 401},
		{"another action", "DELETE", "/v2/acme/app/manifests/latest", push, 401},
		{"only pull", "POST", "/v2/acme/app/blobs/uploads/", get("repository:acme/app:pull", "admin:"+admin), 401},
		{"nobody's token", "GET", "/v2/", get("repository:acme/app:pull", ""), 200},
		{"nobody's token, private", "GET", "/v2/acme/app/tags/list", get("repository:acme/app:pull", ""), 401},
		{"Basic", "POST", "/v2/acme/app/blobs/uploads/", "admin:" + admin, 202},
		{"Bearer", "POST", "/v2/acme/app/blobs/uploads/", admin, 202},
		{"changed", "GET", "/v2/", push[:len(push)-2] + "xx", 401},
	} {
		if res, body := r.send(t, step.method, step.path, step.credentials, ""); res.StatusCode != step.want {
			t.Errorf("%s: %d %s, want %d", step.name, res.StatusCode, body, step.want)
		}
	}
	if res, _ := r.send(t, "GET", "/token?service="+host, "admin:wrong", ""); res.StatusCode != 401 {
		t.Errorf("wrong password: %d", res.StatusCode)
	}
}

// Two bodies at once may be more than one principal may send.
func TestBytesInFlight(t *testing.T) {
	t.Parallel()
	_, r, admin := guarded(t, func(c *config.Config) { c.Rates.InFlight = 4 * config.KiB })
	body, end := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), "POST", r.URL()+"/v2/acme/app/blobs/uploads/?digest=sha256:"+strings.Repeat("0", 64), body)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = 4096
	req.SetBasicAuth("admin", admin)
	first := make(chan error, 1)
	go func() {
		res, err := r.client.Do(req)
		if err == nil {
			err = res.Body.Close()
		}
		first <- err
	}()
	if _, err := end.Write(make([]byte, 10)); err != nil { // it is under way
		t.Fatal(err)
	}
	second := func() int {
		res, _ := r.send(t, "POST", "/v2/acme/app/blobs/uploads/", "admin:"+admin, strings.Repeat("x", 2000))
		return res.StatusCode
	}
	for second() != http.StatusTooManyRequests {
		if t.Context().Err() != nil {
			t.Fatal("never refused")
		}
	}
	_ = end.CloseWithError(io.ErrUnexpectedEOF)
	<-first
	for second() == http.StatusTooManyRequests {
		if t.Context().Err() != nil {
			t.Fatal("still refused")
		}
	}
}
