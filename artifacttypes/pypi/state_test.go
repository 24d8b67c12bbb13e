package pypi

import (
	"encoding/hex"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func hexSum(text string) string { return hex.EncodeToString(sum([]byte(text))) }

func (f feed) mustSend(method, path, body string) string {
	f.T.Helper()
	status, answer := f.send(method, path, "application/json", []byte(body))
	if status != http.StatusOK {
		f.T.Fatalf("%s %s %s: %d %s", method, path, body, status, answer)
	}
	return answer
}

func TestYank(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.mustUpload(nil, wheelFile, wheel(t, "my-pkg", "1.0", ""))
	for _, tt := range []struct {
		body string
		want any
		html string // "" for not at all
	}{
		{`{"name":"My_Pkg","version":"v1.0"}`, true, `data-yanked=""`},
		{`{"name":"my-pkg","version":"1.0","yanked":true,"reason":"it <breaks>"}`, "it <breaks>", `data-yanked="it &lt;breaks&gt;"`},
		{`{"name":"my-pkg","version":"1.0","reason":"again"}`, "again", `data-yanked="again"`},
		{`{"name":"my-pkg","version":"1.0","yanked":false}`, false, ""},
	} {
		f.mustSend(http.MethodPost, "/-/yank", tt.body)
		if got := f.page().Files[0].Yanked; got != tt.want {
			t.Errorf("%s: yanked %v, want %v", tt.body, got, tt.want)
		}
		html := f.get(http.StatusOK, "/simple/my-pkg/")
		if !strings.Contains(html, tt.html) || tt.html == "" && strings.Contains(html, "yanked") {
			t.Errorf("%s: page %s", tt.body, html)
		}
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.mustUpload(nil, wheelFile, wheel(t, "my-pkg", "1.0", ""))
	for _, tt := range []struct {
		status, reason string
		takes          bool
		gives          bool
	}{
		{"archived", "moved <on>", false, true},
		{"quarantined", "malware", false, false},
		{"deprecated", "use other", true, true},
		{"active", "", true, true},
	} {
		f.mustSend(http.MethodPut, "/-/status", `{"name":"My.Pkg","status":"`+tt.status+`","reason":"`+tt.reason+`"}`)
		p := f.page()
		if p.Status.Status != tt.status || p.Status.Reason != tt.reason || (len(p.Files) > 0) != tt.gives || (len(p.Versions) > 0) != tt.gives {
			t.Errorf("%s: page %+v", tt.status, p)
		}
		html := f.get(http.StatusOK, "/simple/my-pkg/")
		if !strings.Contains(html, `<meta name="pypi:project-status" content="`+tt.status+`">`) || strings.Contains(html, "<a ") != tt.gives || strings.Contains(html, "<on>") {
			t.Errorf("%s: page %s", tt.status, html)
		}
		want := map[bool]int{true: http.StatusOK, false: http.StatusForbidden}
		f.get(want[tt.gives], "/files/my-pkg/1.0/"+wheelFile)
		f.get(want[tt.gives], "/files/my-pkg/1.0/"+wheelFile+".metadata")
		status, answer := f.upload(nil, wheelFile, wheel(t, "my-pkg", "1.0", ""))
		if status != want[tt.takes] || !tt.takes && !strings.Contains(answer, tt.reason) {
			t.Errorf("%s: upload: %d %s", tt.status, status, answer)
		}
	}
}

func TestStateRefuses(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.mustUpload(nil, wheelFile, wheel(t, "my-pkg", "1.0", ""))
	const asJSON = "application/json"
	for _, tt := range []struct {
		method, path, contentType, body string
		status                          int
		want                            string
	}{
		{"POST", "/-/yank", "application/x-www-form-urlencoded", "name=my-pkg&version=1.0", 400, "application/json"},
		{"POST", "/-/yank", asJSON, `{"name":"my-pkg","version":"1.0","yank":true}`, 400, "unknown field"},
		{"POST", "/-/yank", asJSON, `{"name":"my-pkg","version":"1.0","version":"2"}`, 400, "twice"},
		{"POST", "/-/yank", asJSON, `{"name":"my-pkg"}`, 400, "PEP 440"},
		{"POST", "/-/yank", asJSON, `{"version":"1.0"}`, 400, "name of a project"},
		{"POST", "/-/yank", asJSON, `{"name":"my-pkg","version":"2.0"}`, 404, "no my-pkg 2.0"},
		{"POST", "/-/yank", asJSON, `{"name":"absent","version":"2.0"}`, 404, "no absent 2.0"},
		{"POST", "/-/yank", asJSON, `{"name":"my-pkg","version":"1.0","reason":"two\nlines"}`, 400, "one line"},
		{"POST", "/-/yank", asJSON, `{"name":"my-pkg","version":"1.0","reason":"\u0000"}`, 400, "one line"},
		{"POST", "/-/yank", asJSON, `{"name":"my-pkg","version":"1.0","yanked":false,"reason":"why"}`, 400, "yanked: true"},
		{"POST", "/-/yank", asJSON, `{"name":"` + strings.Repeat("x", 70_000) + `"}`, 413, "64 KiB"},
		{"PUT", "/-/status", asJSON, `{"name":"my-pkg","status":"gone"}`, 400, "want one of active, archived, quarantined, deprecated"},
		{"PUT", "/-/status", asJSON, `{"name":"absent","status":"archived"}`, 404, "no project absent"},
		{"POST", "/-/status", asJSON, `{"name":"my-pkg","status":"archived"}`, 405, ""},
	} {
		status, answer := f.send(tt.method, tt.path, tt.contentType, []byte(tt.body))
		if status != tt.status || !strings.Contains(answer, tt.want) {
			t.Errorf("%s %s %.80s: %d %q, want %d with %q", tt.method, tt.path, tt.body, status, answer, tt.status, tt.want)
		}
	}
	if p := f.page(); p.Files[0].Yanked != false || p.Status.Status != "active" {
		t.Errorf("a refused request changed the page: %s", cmp.Diff(page{}, p))
	}
}
