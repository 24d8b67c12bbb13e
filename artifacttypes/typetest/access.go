package typetest

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry"
)

// The people of the tests of access. What visitors may do is elsewhere in the
// feed, so that only the decision about the package itself refuses them.
const (
	owner    = "owner"
	reader   = "reader"
	visitor  = "visitor"
	password = "open sesame"
)

// access opens a place where the owner may do all, the reader read s's package
// and the visitor neither.
func (s Suite) access(t *testing.T) *Place {
	t.Helper()
	p := OpenTo(t, s.Format, nil)
	repo, _ := p.locate(s.First)
	elsewhere := registry.Repo(p.feed() + "/elsewhere")
	visits := []registry.Verb{registry.Read, registry.List, registry.Create, registry.Withdraw}
	p.people.Known = map[string]Person{
		owner:   {password, Rights{"": registry.Grantable()}},
		reader:  {password, Rights{repo: {registry.Read, registry.List}, elsewhere: visits}},
		visitor: {password, Rights{elsewhere: visits}},
	}
	return p
}

// refusals: who may not publish is told so, before the upload is read where the
// request says what it is of.
func (s Suite) refusals(t *testing.T) {
	t.Helper()
	p := s.access(t)
	for _, test := range []struct {
		who    string
		status int
	}{{"", http.StatusUnauthorized}, {reader, http.StatusForbidden}, {visitor, http.StatusForbidden}} {
		as := p.As(test.who)
		requests, err := s.First.Publish(p.Base())
		if err != nil {
			t.Fatal(err)
		}
		r, sent := requests[0], new(counter)
		sent.ReadCloser, r.Body = r.Body, sent
		r.Header.Set("Expect", "100-continue")
		got := as.answer(r)
		if got.status != test.status || strings.TrimSpace(got.body) == "" {
			t.Errorf("%q publishes: %d %q, want %d and a sentence", test.who, got.status, got.body, test.status)
		}
		if asked := got.header.Get("WWW-Authenticate") != ""; asked != (test.status == http.StatusUnauthorized) {
			t.Errorf("%q publishes: challenge %q with %d", test.who, got.header.Get("WWW-Authenticate"), got.status)
		}
		if n := sent.n.Load(); n > 0 && (!s.Late || test.who == "") {
			t.Errorf("%q publishes: %d bytes were read before it was refused", test.who, n)
		}
	}
	p.As(owner).mustPublish(s.First)
	p.As(owner).wantFiles(s.First)
	p.As(reader).wantFiles(s.First)
	for _, path := range slices.Sorted(maps.Values(s.First.Paths)) {
		got := p.get(http.MethodGet, path, nil)
		if got.status != http.StatusUnauthorized || got.header.Get("WWW-Authenticate") == "" || got.body == "" {
			t.Errorf("nobody gets %s: %d %q, want 401, a challenge and a sentence", path, got.status, got.body)
		}
	}
}

// answer is all of a response.
type answer struct {
	status int
	header http.Header
	body   string
}

// answer sends r.
func (p *Place) answer(r *http.Request) answer {
	p.T.Helper()
	res := p.Do(r.WithContext(p.T.Context()))
	defer func() { _ = res.Body.Close() }() // it is read to its end
	body, err := io.ReadAll(res.Body)
	if err != nil {
		p.T.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(body)}
}

// get asks for a path below the feed.
func (p *Place) get(method, path string, header http.Header) answer {
	p.T.Helper()
	r, err := http.NewRequestWithContext(p.T.Context(), method, p.Base()+path, nil)
	if err != nil {
		p.T.Fatal(err)
	}
	if header != nil {
		r.Header = header
	}
	return p.answer(r)
}

// counter counts the bytes of a body that are sent, which may go on behind the
// answer.
type counter struct {
	io.ReadCloser
	n atomic.Int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// patient waits until the server asks for a body.
var patient = &http.Client{
	CheckRedirect: client.CheckRedirect,
	Transport:     &http.Transport{ExpectContinueTimeout: time.Minute, DisableKeepAlives: true},
}

// hidden: to who may not read it, a package looks as one that is not there.
func (s Suite) hidden(t *testing.T) {
	t.Helper()
	p := s.access(t)
	paths := slices.Concat(slices.Sorted(maps.Values(s.First.Paths)), s.Documents)
	ask := func() map[string]string {
		all := map[string]string{}
		for _, path := range paths {
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				got := p.As(visitor).get(method, path, s.Header.Clone())
				got.header.Del("Date")
				all[method+" "+path] = fmt.Sprintf("%d\n%s\n%s", got.status, headerText(got.header), got.body)
			}
		}
		requests, err := s.First.Publish(p.Base())
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range requests {
			got := p.As(visitor).answer(r)
			if i == 0 && got.status != http.StatusForbidden {
				t.Errorf("%s %s: %d %s, want 403", r.Method, r.URL, got.status, got.body)
			}
			all[fmt.Sprint("upload ", i)] = fmt.Sprintf("%d\n%s", got.status, got.body)
		}
		return all
	}
	before := ask()
	p.As(owner).mustPublish(s.First)
	if diff := cmp.Diff(before, ask()); diff != "" {
		t.Errorf("a package that may not be read looks unlike one that is not there:\n%s", diff)
	}
	for request, answer := range before {
		for _, f := range s.First.Files {
			if strings.Contains(answer, f.Name) && !strings.Contains(request, f.Name) {
				t.Errorf("%s names %s:\n%s", request, f.Name, answer)
			}
		}
	}
}

func headerText(h http.Header) string {
	var b strings.Builder
	_ = h.Write(&b) // a Builder takes all
	return b.String()
}
