package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/packhouse/packhouse/registry/admin"
	"github.com/packhouse/packhouse/registry/auth"
	"github.com/packhouse/packhouse/registry/distspec"
)

// TestRouteMatrix asks for every route as everybody about every target and
// holds the answers against a table that was written by hand.
func TestRouteMatrix(t *testing.T) {
	t.Parallel()
	const least = 5000 // cases
	w, tab := newWorld(t), readTable(t)
	tab.complete(t, w)
	cases, wrong := 0, 0
	for _, r := range tab.routes {
		for _, method := range r.methods() {
			for _, row := range tab.grids[r.grid] {
				problems := map[string][]string{} // and whose they are
				for i, who := range tab.principals {
					want, err := r.want(row.cells[i])
					if err != nil {
						t.Fatalf("matrix.txt:%d: %s, %s: %v", r.line, row.target.name, who, err)
					}
					q := r.request(t, w, method, row.target, who)
					got := w.send(t, who, q)
					cases++
					if problem := got.judge(q, who, want); problem != "" {
						wrong++
						text := fmt.Sprintf("%s %s: %s\n\t%.300s", q.method, q.path, problem, got.body)
						problems[text] = append(problems[text], who)
					}
				}
				for text, whose := range problems {
					t.Errorf("matrix.txt:%d: %s %s: %s about %s: %s", r.line, r.surface, r.name, strings.Join(whose, ", "), row.target.name, text)
				}
			}
		}
	}
	t.Logf("%d cases of %d routes, %d mismatches", cases, len(tab.routes), wrong)
	if cases < least {
		t.Errorf("%d cases, want at least %d", cases, least)
	}
}

// methods are those by which a route is asked: HEAD for every GET.
func (r route) methods() []string {
	if r.method == http.MethodGet {
		return []string{http.MethodGet, http.MethodHead}
	}
	return []string{r.method}
}

// judge says what is wrong with an answer, "" for nothing.
func (a answer) judge(q ask, who string, want int) string {
	switch {
	case a.status != want:
		return fmt.Sprintf("got %d, want %d", a.status, want)
	case a.status == http.StatusUnauthorized && a.header.Get("WWW-Authenticate") == "":
		return "a 401 that does not say how to log in"
	case q.method == http.MethodHead && a.body != "":
		return "an answer to HEAD with a body"
	case !maySee(who) && strings.Contains(a.body+fmt.Sprint(a.header), secretly):
		return "the answer tells what is private"
	}
	return ""
}

// complete fails for each route of the router that is not in the table, and
// for each of the table that is not in the router.
func (tab accessTable) complete(t *testing.T, w *world) {
	t.Helper()
	routed := map[string]bool{}
	for _, k := range distspec.Kinds() {
		routed["oci "+k.String()] = true
	}
	for format, routes := range w.backend.Feeds.Routes() {
		for _, r := range routes {
			below := "/{ns}/" + format + r.Pattern
			if r.API {
				below = "/api" + below
			}
			routed[format+" "+r.Name+" "+r.Method+" "+below] = true
		}
	}
	for _, o := range admin.Operations() {
		routed["api "+o.Name+" "+o.Method+" "+admin.Prefix+o.Path] = true
	}
	api, err := admin.New(environment(w.backend), admin.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range w.backend.Mounts(api) {
		under := func(r route) bool {
			return r.pattern == m.Prefix || strings.HasSuffix(m.Prefix, "/") && strings.HasPrefix(r.pattern, m.Prefix)
		}
		if !slices.ContainsFunc(tab.routes, under) {
			t.Errorf("the table lacks the mount: %s %s", m.Name, m.Prefix)
		}
	}
	for _, r := range w.backend.OIDC.Routes() {
		routed["oidc "+r] = true
	}
	inTable := map[string]bool{}
	for _, r := range tab.routes {
		switch r.surface {
		case "oci":
			inTable["oci "+r.name] = true
		case "oidc":
			inTable["oidc "+r.method+" "+r.pattern] = true
		case "mount": // what is under one has a router of its own, or is itself
		case "api":
			inTable[r.String()] = true
		case "page", "invalid": // no router lists them
		default:
			inTable[r.String()] = true
		}
	}
	missing := func(these, those map[string]bool, what string) {
		for key := range these {
			if !those[key] {
				t.Errorf("%s: %s", what, key)
			}
		}
	}
	missing(routed, inTable, "the table lacks the route")
	missing(inTable, routed, "there is no such route as in the table")
}

// variable is what stands for $name in the table.
func (w *world) variable(t *testing.T, name string, at target, who string) string {
	t.Helper()
	repo := at.ns + "/" + at.pkg
	self := ownerOf(who)
	if who == anonymous {
		self = "someone"
	}
	switch name {
	case "ns":
		return at.ns
	case "pkg":
		return at.pkg
	case "repo":
		return repo
	case "name":
		return self
	case "self":
		return "user:" + self
	case "user":
		if at.pkg == "self" {
			return self
		}
		return at.pkg
	case "blob":
		return w.blob.String()
	case "image":
		return w.image.String()
	case "upload":
		return w.upload(t, who, repo)
	case "address": // of somebody else each time
		w.asked++
		return fmt.Sprintf("192.0.2.%d", w.asked)
	case "access": // as it is
		return map[string]string{"pub": "public", "priv": "restricted"}[at.ns]
	case "visibility": // as it is
		return map[string]string{"pub": "public", "priv": "private"}[at.ns]
	case "token":
		switch at.pkg {
		case "self":
			return w.fresh(t, self).ID
		case "nobody":
			return strings.Repeat("0", 12)
		}
		return w.fresh(t, at.pkg).ID
	case "grant":
		if at.ns == "nowhere" {
			return "999999"
		}
		g, err := w.backend.Auth.AddGrant(byOperator(t), auth.Grant{Subject: "user:someone", Role: "delete", Namespace: at.ns, Repositories: at.ns + "/shelf"})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(g.ID)
	case "trust":
		if at.ns == "nowhere" {
			return "nobodys"
		}
		_, err := w.backend.Auth.AddTrust(byOperator(t), auth.Trust{Name: "of-" + at.ns, Namespace: at.ns, Issuer: "https://ci.example", Claims: map[string]string{"repository_id": "1"}})
		if err != nil {
			t.Fatal(err)
		}
		return "of-" + at.ns
	}
	t.Fatalf("the table has $%s, which nothing stands for", name)
	return ""
}

// principalsBut are the principals of the table without some.
func (tab accessTable) principalsBut(without ...string) []string {
	return slices.DeleteFunc(slices.Clone(tab.principals), func(who string) bool { return slices.Contains(without, who) })
}
