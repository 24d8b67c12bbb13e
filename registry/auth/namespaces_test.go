package auth

import (
	"context"
	"testing"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

func TestCreateNamespace(t *testing.T) {
	t.Parallel()
	e := town(t)
	root, alice, bob := e.asUser("root"), e.asUser("alice"), e.asUser("bob")
	for _, c := range []struct {
		name                      string
		ctx                       func() context.Context
		ns, visibility, firstPush string
		want                      registry.Code
	}{
		{"fine", by(root), "fresh", "public", "admin", ""},
		{"again", by(root), "fresh", "", "", registry.Conflict},
		{"inside one's own", by(alice), "acme/team", "", "", ""},
		{"another", by(alice), "mine", "", "", registry.Denied},
		{"inside one's name", by(bob), "acme/bob", "", "", registry.Denied},
		{"name", by(root), "Fresh", "", "", registry.NameInvalid},
		{"no name", by(root), "", "", "", registry.NameInvalid},
		{"an address of ours", by(root), "v2", "", "", registry.NameInvalid},
		{"below an address of ours", by(root), "token/x", "", "", registry.NameInvalid},
		{"visibility", by(root), "x", "secret", "", registry.ParameterInvalid},
		{"first push", by(root), "x", "", "all", registry.ParameterInvalid},
		{"anonymous", by(e.anonymous()), "x", "", "", registry.Unauthorized},
	} {
		n, err := e.CreateNamespace(c.ctx(), c.ns, c.visibility, c.firstPush)
		wants(t, c.name, err, c.want)
		if err == nil && (n.Name != c.ns || n.Visibility != c.visibility || n.FirstPush != c.firstPush || n.ID == 0) {
			t.Errorf("%s: %+v", c.name, n)
		}
	}
	wants(t, "first push", e.SetFirstPush(alice, "acme", "admin"), "")
	wants(t, "first push of one name", e.SetFirstPush(bob, "acme", ""), registry.Denied)
	wants(t, "first push of the root by another", e.SetFirstPush(alice, Root, "admin"), registry.Denied)
	wants(t, "first push of the root", e.SetFirstPush(root, Root, "admin"), "")
	wants(t, "first push of none", e.SetFirstPush(root, "none", "admin"), registry.NameUnknown)
	n, err := e.store.Namespace(t.Context(), "acme")
	if err != nil || n.FirstPush != "admin" {
		t.Errorf("%+v, %v", n, err)
	}
}

func TestSetVisibility(t *testing.T) {
	t.Parallel()
	e := town(t)
	e.change(func(ctx context.Context, tx *meta.Tx) error {
		for _, name := range []registry.Repo{"acme", "acme/app", "acme/npm/left-pad"} {
			if _, err := tx.EnsureRepository(ctx, name); err != nil {
				return err
			}
		}
		_, err := tx.EnsureFeed(ctx, "acme", "npm")
		return err
	})
	root, alice, bob, carol := e.asUser("root"), e.asUser("alice"), e.asUser("bob"), e.asUser("carol")
	reads := func(name registry.Repo) bool { return e.Policy().May(&Identity{Kind: Anonymous}, registry.Read, name) }
	for _, c := range []struct {
		name string
		ctx  func() context.Context
		what string
		of   registry.Repo
		to   string
		set  string
		code registry.Code
		sees string // of what anonymous callers see: the repository acme, acme/app, the package, acme/other
	}{
		{"a repository", by(alice), "", "acme/app", "public", "repository", "", "-a--"},
		{"one name", by(bob), "", "acme", "public", "repository", "", "ra--"},
		{"a namespace, by who has its name", by(bob), "namespace", "acme", "public", "", registry.Denied, "ra--"},
		{"a feed", by(alice), "", "acme/npm", "public", "feed", "", "rap-"},
		{"a namespace", by(alice), "namespace", "acme", "public", "namespace", "", "rapo"},
		{"a repository in it", by(alice), "repository", "acme/app", "private", "repository", "", "r-po"},
		{"a repository as above it", by(alice), "repository", "acme/app", "", "repository", "", "rapo"},
		{"a namespace, private", by(alice), "namespace", "acme", "private", "namespace", "", "r-p-"},
		{"another namespace", by(alice), "", "other", "public", "", registry.Denied, "r-p-"},
		{"the root", by(root), "", "", "public", "namespace", "", "r-p-"},
		{"the root, by another", by(alice), "", "", "public", "", registry.Denied, "r-p-"},
		{"by nobody in particular", by(carol), "", "acme/app", "public", "", registry.Denied, "r-p-"},
		{"what is not there", by(alice), "", "acme/none", "public", "", registry.NameUnknown, "r-p-"},
		{"no feed", by(alice), "feed", "acme/app", "public", "", registry.NameUnknown, "r-p-"},
		{"visibility", by(alice), "", "acme/app", "open", "", registry.ParameterInvalid, "r-p-"},
		{"kind", by(alice), "tag", "acme/app", "public", "", registry.ParameterInvalid, "r-p-"},
	} {
		set, err := e.SetVisibility(c.ctx(), c.what, c.of, c.to)
		wants(t, c.name, err, c.code)
		if set != c.set && err == nil {
			t.Errorf("%s: set that of a %s, want %s", c.name, set, c.set)
		}
		got := []byte("----")
		for i, name := range []registry.Repo{"acme", "acme/app", "acme/npm/left-pad", "acme/other"} {
			if reads(name) {
				got[i] = "rapo"[i]
			}
		}
		if string(got) != c.sees {
			t.Errorf("%s: everybody sees %s, want %s", c.name, got, c.sees)
		}
	}
}

// What was granted in a namespace dies with it, and lives on if it comes back.
func TestGrantsDieWithTheirNamespace(t *testing.T) {
	t.Parallel()
	e := town(t)
	root := e.asUser("root")
	var app meta.Repository
	e.change(func(ctx context.Context, tx *meta.Tx) (err error) {
		app, err = tx.EnsureRepository(ctx, "acme/app")
		return err
	})
	e.must(e.AddTrust(root, Trust{Name: "release", Namespace: "acme", Issuer: "https://ci.example.com", Claims: map[string]string{"repository_id": "7"}}))
	rule, _ := e.Policy().TrustNamed("release")
	m, err := e.Mint(root, MintParams{Trust: rule.ID, Name: "job"})
	e.must(err)
	e.must(e.SetVisibility(root, "namespace", "acme", "public"))
	alice, job := e.id(meta.KindUser, "alice"), e.by(m.Secret)
	check := func(what string, want bool) {
		t.Helper()
		p := e.Policy()
		_, byToken := e.bare(m.Secret)
		got := [4]bool{
			p.May(alice, registry.Admin, "acme/app"), p.May(job, registry.Create, "acme/app"),
			p.May(&Identity{Kind: Anonymous}, registry.Read, "acme/app"), byToken == nil,
		}
		if want := [4]bool{want, want, want, want}; got != want {
			t.Errorf("%s: grant, trust, visibility, token: %v, want %v", what, got, want)
		}
	}
	drop := func() {
		e.change(func(ctx context.Context, tx *meta.Tx) error {
			if err := tx.DeleteRepository(ctx, app); err != nil {
				return err
			}
			return tx.DeleteNamespace(ctx, "acme")
		})
	}
	check("at first", true)
	drop()
	check("deleted", false)
	wants(t, "grants of what is deleted", func() error { _, err := e.Grants(root, GrantFilter{Namespace: "acme"}); return err }(), registry.NameUnknown)
	e.change(func(ctx context.Context, tx *meta.Tx) error { return tx.RestoreRepository(ctx, app) })
	check("restored", true)
	drop()
	e.must(e.CreateNamespace(root, "acme", "", ""))
	check("used again", false)
	e.change(func(ctx context.Context, tx *meta.Tx) error { return tx.RestoreRepository(ctx, app) })
	check("used again, and the repository restored", false)
	// Its rule's name is free again.
	e.must(e.AddTrust(root, Trust{Name: "release", Namespace: "acme", Issuer: "https://other.example.com", Claims: map[string]string{"repository_id": "8"}}))
}
