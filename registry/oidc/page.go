package oidc

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page
	"encoding/base64"
	"html/template"
	"net/http"
	"strconv"

	"github.com/packhouse/packhouse/registry"
)

//go:embed page.html
var pageText string

// style is all that the pages look like; the policy allows it by its hash.
const style = `body{margin:0;font:16px/1.5 system-ui,sans-serif;color:#1b1f24;background:#f4f5f7}` +
	`main{max-width:26rem;margin:10vh auto;padding:2rem;background:#fff;border:1px solid #d5d9df;border-radius:8px;overflow-wrap:anywhere}` +
	`h1{margin:0 0 1rem;font-size:1.4rem}label{display:block;margin:.75rem 0 .25rem}` +
	`input{box-sizing:border-box;width:100%;padding:.5rem;font:inherit;color:inherit;background:#fff;border:1px solid #8a929c;border-radius:4px}` +
	`button,.button{display:block;box-sizing:border-box;width:100%;margin-top:1.25rem;padding:.6rem;font:inherit;text-align:center;text-decoration:none;color:#fff;background:#1f5fbf;border:0;border-radius:4px}` +
	`.or{margin:1rem 0 -.5rem;text-align:center}.problem{padding:.5rem .75rem;color:#8a1111;background:#fdecec;border-radius:4px}` +
	`@media(prefers-color-scheme:dark){body{color:#e6e9ee;background:#14171b}main{background:#1d2126;border-color:#343b44}input{background:#14171b;border-color:#5a636e}.problem{color:#ffb4b4;background:#3a1d1d}}`

// page is what a page shows.
type page struct {
	Title   string
	Problem string // why the last try failed
	Text    string

	Form            bool
	Client, Address string // who asks
	Action, Token   string
	User            string // what was typed before
	Provider        string // URL that leads to the provider, "" for none
	ProviderHost    string
	Style           template.CSS
}

// pages writes them.
type pages struct {
	text   *template.Template
	policy string // Content-Security-Policy
}

func newPages() *pages {
	sum := sha256.Sum256([]byte(style))
	return &pages{
		text: template.Must(template.New("").Parse(pageText)).Lookup("page"),
		policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; " +
			"form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
	}
}

func (p *pages) write(w http.ResponseWriter, r *http.Request, status int, v page) {
	v.Style = style
	var b bytes.Buffer
	if err := p.text.Execute(&b, v); err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError) // a mistake in the template
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	h.Set("Content-Security-Policy", p.policy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	// Not no-referrer: a form of a page with that sends "Origin: null".
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(b.Bytes()) // the browser is gone if it fails
	}
}

// fail shows what went wrong where there is nothing left to do.
func (p *pages) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := registry.Public(err)
	status := pageStatus(e)
	if after := e.RetryAfter(status); after != "" {
		w.Header().Set("Retry-After", after)
	}
	p.write(w, r, status, page{Title: "Not logged in", Problem: sentence(e.Message)})
}

// pageStatus is never 401, by which a browser would ask for a password itself.
func pageStatus(e *registry.Error) int {
	if e.Code == registry.Unauthorized {
		return http.StatusForbidden
	}
	return e.Code.HTTPStatus()
}

// sentence makes a message one.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	first := s[:1]
	if first[0] >= 'a' && first[0] <= 'z' {
		first = string(first[0] - 'a' + 'A')
	}
	return first + s[1:] + "."
}
