package oidc

import (
	"context"
	"flag"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// browser is one with cookies.
type browser struct {
	w       *world
	cookies map[string]string
	header  http.Header // added to each request
}

func (w *world) browser() *browser {
	return &browser{w: w, cookies: map[string]string{}, header: http.Header{"Sec-Fetch-Site": {"same-origin"}}}
}

func (b *browser) send(method, to string, form url.Values) (answer, string) {
	b.w.t.Helper()
	r := b.w.request(method, to, form.Encode())
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", home)
	}
	maps.Copy(r.Header, b.header)
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	res, body := b.w.do(r)
	for _, c := range (&http.Response{Header: res.Header}).Cookies() {
		b.cookies[c.Name] = c.Value
	}
	return res, body
}

func (b *browser) get(to string) (answer, string) {
	b.w.t.Helper()
	return b.send(http.MethodGet, to, nil)
}

var tokenField = regexp.MustCompile(`name="token" value="([0-9a-f]+)"`)

// open shows the page of a log-in and returns the form's token.
func (b *browser) open(id string) (formToken string) {
	b.w.t.Helper()
	res, body := b.get("/-/login/" + id)
	m := tokenField.FindStringSubmatch(body)
	if res.StatusCode != http.StatusOK || m == nil {
		b.w.t.Fatalf("page: %d\n%s", res.StatusCode, body)
	}
	return m[1]
}

// begin begins a log-in.
func (w *world) begin() Pending {
	w.t.Helper()
	p, err := w.Begin(w.t.Context(), "npm/11.0", "192.0.2.7")
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// state is what a log-in came to: "waiting", "over", or whose token it gave.
func (w *world) state(p Pending) string {
	w.t.Helper()
	return w.stateBy(p.ID, p.Secret)
}

func (w *world) stateBy(id, secret string) string {
	w.t.Helper()
	m, waiting, err := w.Done(context.WithoutCancel(w.caller()), id, secret)
	switch {
	case waiting:
		return "waiting"
	case err != nil:
		return "over"
	}
	return w.owner(m.Secret)
}
