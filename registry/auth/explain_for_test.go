package auth

import (
	"context"
	"testing"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

func TestExplainIsForWhoMayKnow(t *testing.T) {
	t.Parallel()
	e := town(t)
	root, alice, carol := e.asUser("root"), e.asUser("alice"), e.asUser("carol")
	e.must(e.AddGrant(root, Grant{Subject: "carol", Role: "reader", Namespace: "acme", Repositories: "acme/app"}))
	narrow := *e.id(meta.KindUser, "alice")
	narrow.Scope = []Scope{{"acme/**", "reader"}}
	for _, c := range []struct {
		name    string
		ctx     func() context.Context
		subject string
		v       registry.Verb
		r       registry.Repo
		allowed bool
		want    registry.Code
	}{
		{"an administrator about another", by(root), "user:carol", registry.Read, "acme/app", true, ""},
		{"a namespace's administrator about another", by(alice), "carol", registry.Create, "acme/app", false, ""},
		{"about another namespace", by(alice), "carol", registry.Create, "other/app", false, registry.Denied},
		{"about oneself", by(carol), "", registry.Create, "acme/app", false, ""},
		{"about oneself by name", by(carol), "carol", registry.Read, "acme/app", true, ""},
		{"about oneself and what one may not see", by(carol), "", registry.Create, "acme/secret", false, registry.NameUnknown},
		{"about oneself and the whole registry", by(carol), "", registry.Admin, "", false, ""},
		{"about another by nobody in particular", by(carol), "alice", registry.Read, "acme/app", false, registry.Denied},
		{"by a narrow token about itself", by(e.as(&narrow)), "", registry.Create, "acme/app", false, ""},
		{"by an operator", by(e.operator()), "anonymous", registry.Read, "acme/app", false, ""},
		{"anonymous", by(e.anonymous()), "", registry.Read, "acme/app", false, registry.Unauthorized},
		{"unknown", by(root), "dave", registry.Read, "acme/app", false, registry.NameUnknown},
		{"a group", by(root), "group:dev", registry.Read, "acme/app", false, registry.ParameterInvalid},
	} {
		got, err := e.Explain(c.ctx(), c.subject, c.v, c.r)
		wants(t, c.name, err, c.want)
		if got.Allowed != c.allowed {
			t.Errorf("%s: allowed %v, want %v", c.name, got.Allowed, c.allowed)
		}
	}
}
