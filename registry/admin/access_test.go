package admin_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/admin"
	"github.com/packhouse/packhouse/registry/auth"
)

// as serves the API to whoever shows a token, as a server would.
func as(t *testing.T, env *admin.Env) func(token, method, path, body string) answer {
	t.Helper()
	a := api(t, env)
	return func(token, method, path, body string) answer {
		r := httptest.NewRequestWithContext(t.Context(), method, admin.Prefix+path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		id := &auth.Identity{Kind: auth.Anonymous}
		if token != "" {
			var err error
			if id, err = env.Auth.Authenticate(t.Context(), auth.Credential{Secret: token, Bare: true}, "192.0.2.1"); err != nil {
				t.Fatal(err)
			}
		}
		c := &registry.Caller{Identity: id, Principal: id.String(), Token: id.Token, Address: "192.0.2.1"}
		return answered(a, r.WithContext(registry.WithCaller(r.Context(), c)))
	}
}

// somebody makes a service account with a token.
func somebody(t *testing.T, c admin.Caller, name string) string {
	t.Helper()
	call(t, c, admin.SACreate, admin.ServiceCreateParams{ServiceParams: admin.ServiceParams{Service: name}})
	return call(t, c, admin.TokenCreate, admin.TokenCreateParams{Owner: "service:" + name}).Secret
}

// Every operation answers nobody and a stranger with a refusal, but for those
// that are for everybody or about the caller.
func TestEveryOperationRefuses(t *testing.T) {
	t.Parallel()
	env := environmentWith(t, t.TempDir(), nil)
	local := admin.Local{Env: env}
	stranger := somebody(t, local, "stranger")
	call(t, local, admin.NamespaceCreate, admin.NamespaceCreateParams{NamespaceParams: admin.NamespaceParams{Namespace: "acme"}})
	ask := as(t, env)
	open := map[string]int{
		"api": 200, "oci-name": 400, "namespace.list": 200, "repo.list": 200, "feed.list": 200, // everybody, who sees what they may see
		"whoami": 200, "token.list": 200, "token.create": 201, // about the caller
	}
	for _, op := range admin.Operations() {
		path := strings.NewReplacer("{namespace}", "acme", "{feed}", "acme%2Fnpm", "{repo}", "acme%2Fapp", "{tag}", "latest",
			"{user}", "alice", "{service}", "other", "{group}", "devs", "{member}", "alice", "{token}", "0123456789ab", "{grant}", "1", "{trust}", "release").Replace(op.Path)
		if op.Name == "can" {
			path += "?subject=alice&action=pull&repo=acme/app"
		}
		body := ""
		if op.Name == "user.password" {
			body = `{"password":"correct horse"}`
		}
		anonymous := ask("", op.Method, path, body).status
		res := ask(stranger, op.Method, path, body)
		known := res.status
		if want, ok := open[op.Name]; ok {
			if known != want {
				t.Errorf("%s answered %d to a stranger, want %d: %s", op.Name, known, want, res.body)
			}
		} else if known != http.StatusForbidden && known != http.StatusNotFound {
			t.Errorf("%s answered %d to a stranger: %s", op.Name, known, res.body)
		}
		// Lists are for anyone, but there is nothing that nobody may see.
		if described := op.Name == "api" || op.Name == "oci-name"; described == (anonymous == http.StatusUnauthorized) {
			t.Errorf("%s answered %d to nobody", op.Name, anonymous)
		}
	}
	if list := call(t, local, admin.NamespaceList, admin.Page{}); len(list) != 1 || !list[0].Deleted.IsZero() {
		t.Errorf("a stranger changed %+v", list)
	}
}

// An administrator of a namespace manages that, and sees no other.
func TestNamespaceAdministrator(t *testing.T) {
	t.Parallel()
	env := environmentWith(t, t.TempDir(), nil)
	local := admin.Local{Env: env}
	for _, name := range []string{"acme", "other"} {
		call(t, local, admin.NamespaceCreate, admin.NamespaceCreateParams{NamespaceParams: admin.NamespaceParams{Namespace: name}})
	}
	lead := somebody(t, local, "lead")
	call(t, local, admin.GrantAdd, admin.GrantAddParams{Subject: "service:lead", Role: "admin", Namespace: "acme"})
	ask := as(t, env)
	for _, tc := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/namespaces", "", 200, `[{"name":"acme","repositories":0,`},
		{"POST", "/grants", `{"subject":"anonymous","role":"reader","namespace":"acme"}`, 201, `"repositories":"acme/**"`},
		{"POST", "/grants", `{"subject":"anonymous","role":"reader","namespace":"other"}`, 403, `"DENIED"`},
		{"POST", "/grants", `{"subject":"anonymous","role":"reader","namespace":"acme","repositories":"other/**"}`, 400, "reaches out of the namespace"},
		{"POST", "/grants", `{"subject":"service:lead","role":"admin"}`, 403, `"DENIED"`},
		{"PUT", "/namespaces/acme/visibility", `{"visibility":"public"}`, 204, ""},
		{"PUT", "/namespaces/acme/visibility", `{"visibility":"secret"}`, 400, "use public, private"},
		{"PUT", "/namespaces/other/visibility", `{"visibility":"public"}`, 403, ""},
		{"PUT", "/namespaces/acme/quota", `{"bytes":1}`, 403, `"DENIED"`},
		{"PUT", "/namespaces/acme/first-push", `{"first_push":"admin"}`, 204, ""},
		{"POST", "/repositories", `{"repo":"acme/app"}`, 201, `"name":"acme/app"`},
		{"POST", "/repositories", `{"repo":"acme/app"}`, 409, `"CONFLICT"`},
		{"GET", "/can?subject=anonymous&action=pull&repo=acme/app", "", 200, `"allowed":true`},
		{"GET", "/can?subject=anonymous&action=push&repo=acme/app", "", 200, `"allowed":false`},
		{"GET", "/can?subject=anonymous&action=push&repo=other/app", "", 403, ""},
		{"GET", "/audit?namespace=acme&action=grant", "", 200, `"principal":"service:lead"`},
		{"GET", "/audit", "", 403, ""},
		{"GET", "/access", "", 403, ""},
	} {
		res := ask(lead, tc.method, tc.path, tc.body)
		if body := res.body; res.status != tc.status || !strings.Contains(body, tc.want) {
			t.Errorf("%s %s %s: %d %s, want %d with %s", tc.method, tc.path, tc.body, res.status, body, tc.status, tc.want)
		}
	}
	if n := call(t, local, admin.NamespaceShow, admin.NamespaceParams{Namespace: "acme"}); n.FirstPush != "admin" || n.Visibility != "public" {
		t.Errorf("acme: %+v", n)
	}
}

// What is given, listed, changed and taken by each command's operation.
func TestAccounts(t *testing.T) {
	t.Parallel()
	callers(t, func(t *testing.T, _ *admin.Env, c admin.Caller) {
		t.Helper()
		alice := admin.UserParams{User: "alice"}
		call(t, c, admin.UserCreate, admin.UserCreateParams{UserParams: alice, FullName: "Alice A.", Password: "correct horse"})
		call(t, c, admin.GroupCreate, admin.GroupCreateParams{GroupParams: admin.GroupParams{Group: "devs"}})
		member := admin.MemberParams{GroupParams: admin.GroupParams{Group: "devs"}, Member: "user:alice"}
		call(t, c, admin.GroupAdd, member)
		call(t, c, admin.UserUpdate, admin.UserUpdateParams{UserParams: alice, FullName: new("Alice B."), Email: new("a@example.com")})
		call(t, c, admin.UserDisable, alice)
		got := call(t, c, admin.UserShow, alice)
		if got.Disabled.IsZero() {
			t.Error("alice is not disabled")
		}
		got.Created, got.Disabled = time.Time{}, time.Time{}
		if diff := cmp.Diff(admin.User{Name: "alice", FullName: "Alice B.", Email: "a@example.com", Source: "local", Groups: []string{"devs"}}, got); diff != "" {
			t.Errorf("alice (-want +got):\n%s", diff)
		}
		if g := call(t, c, admin.GroupShow, member.GroupParams); len(g.Members) != 1 || g.Members[0].Subject != "user:alice" {
			t.Errorf("devs: %+v", g)
		}
		call(t, c, admin.UserEnable, alice)
		call(t, c, admin.UserPassword, admin.UserPasswordParams{UserParams: alice, Password: "another horse"})
		token := call(t, c, admin.TokenCreate, admin.TokenCreateParams{
			Owner: "alice", Name: "laptop", TTL: "2d", Scope: []auth.Scope{{Repositories: "acme/**", Role: "publisher"}},
		})
		if !strings.HasPrefix(token.Secret, auth.TokenPrefix) || token.Owner != "user:alice" || time.Until(token.Expires).Round(time.Hour) != 48*time.Hour {
			t.Errorf("token: %+v", token)
		}
		next := call(t, c, admin.TokenRotate, admin.TokenRotateParams{TokenParams: admin.TokenParams{Token: token.ID}})
		call(t, c, admin.TokenRevoke, admin.TokenParams{Token: next.ID})
		all, err := admin.All(t.Context(), c, admin.TokenList, admin.TokenListParams{Owner: "alice", Page: admin.Page{Limit: 1}})
		if err != nil || len(all) != 2 {
			t.Errorf("tokens: %+v, %v", all, err)
		}
		for _, one := range all {
			if one.Revoked.IsZero() || one.Name != "laptop" || len(one.Scope) != 1 {
				t.Errorf("token: %+v", one)
			}
		}
		trust := admin.TrustAddParams{TrustParams: admin.TrustParams{Trust: "release"}, Issuer: "https://ci.example.com", Claims: map[string]string{"project_id": "42"}}
		if tr := call(t, c, admin.TrustAdd, trust); tr.Role != "publisher" || tr.Repositories != "**" {
			t.Errorf("trust: %+v", tr)
		}
		call(t, c, admin.TrustRemove, trust.TrustParams)
		call(t, c, admin.GroupRemove, member)
		call(t, c, admin.GroupDelete, member.GroupParams)
		call(t, c, admin.UserDelete, alice)
		if _, err := admin.Call(t.Context(), c, admin.UserShow, alice, nil); !errors.Is(err, registry.NameUnknown) {
			t.Errorf("deleted: %v", err)
		}
		if me := call(t, c, admin.WhoAmI, admin.None{}); me.Principal != "operator" {
			t.Errorf("whoami: %+v", me)
		}
		records, err := admin.All(t.Context(), c, admin.AuditList, admin.AuditListParams{Order: "id", Page: admin.Page{Limit: 4}})
		if err != nil || len(records) < 14 || records[0].Action != "user.create" || records[0].Principal != "operator" {
			t.Errorf("audit: %d, %v", len(records), err)
		}
		if r := call(t, c, admin.AuditVerify, admin.AuditVerifyParams{}); !r.OK() || r.Records != int64(len(records)) {
			t.Errorf("verify: %+v", r)
		}
	})
}

func TestQuotaAndUsage(t *testing.T) {
	t.Parallel()
	callers(t, func(t *testing.T, env *admin.Env, c admin.Caller) {
		t.Helper()
		push(t, env.Engine, "acme/app", "latest", "")
		acme, limit := admin.NamespaceParams{Namespace: "acme"}, int64(1<<20)
		call(t, c, admin.NamespaceQuota, admin.NamespaceQuotaParams{NamespaceParams: acme, Quota: admin.Quota{Bytes: &limit}})
		n := call(t, c, admin.NamespaceShow, acme)
		if n.Quota == nil || n.Quota.Bytes == nil || *n.Quota.Bytes != limit || n.Quota.Manifests != nil || n.Usage == nil || n.Usage.Manifests != 1 || n.Usage.Live.Manifests != 1 {
			t.Errorf("acme: %+v %+v", n.Quota, n.Usage)
		}
		limit = -1
		if _, err := admin.Call(t.Context(), c, admin.NamespaceQuota, admin.NamespaceQuotaParams{NamespaceParams: acme, Quota: admin.Quota{Bytes: &limit}}, nil); !errors.Is(err, registry.ParameterInvalid) {
			t.Errorf("negative: %v", err)
		}
	})
}

// What cannot be made as it was asked for is not made at all.
func TestNothingIsHalfMade(t *testing.T) {
	t.Parallel()
	env := environmentWith(t, t.TempDir(), nil)
	local := admin.Local{Env: env}
	call(t, local, admin.NamespaceCreate, admin.NamespaceCreateParams{NamespaceParams: admin.NamespaceParams{Namespace: "acme"}})
	ci := somebody(t, local, "ci")
	call(t, local, admin.GrantAdd, admin.GrantAddParams{Subject: "service:ci", Role: "publisher", Namespace: "acme"})
	ask := as(t, env)
	for body, want := range map[string]int{
		`{"repo":"acme/app","visibility":"public"}`: http.StatusForbidden,
		`{"repo":"acme/app","visibility":"secret"}`: http.StatusForbidden,
	} {
		if res := ask(ci, "POST", "/repositories", body); res.status != want {
			t.Errorf("%s: %d %s, want %d", body, res.status, res.body, want)
		}
	}
	if list := call(t, local, admin.RepoList, admin.RepoListParams{}); len(list) != 0 {
		t.Errorf("made: %+v", list)
	}
	if res := ask(ci, "POST", "/repositories", `{"repo":"acme/app"}`); res.status != http.StatusCreated {
		t.Errorf("%d %s", res.status, res.body)
	}
}

// What was granted in a namespace comes back with it, repositories or not.
func TestEmptyNamespaceComesBack(t *testing.T) {
	t.Parallel()
	callers(t, func(t *testing.T, _ *admin.Env, c admin.Caller) {
		t.Helper()
		acme := admin.NamespaceParams{Namespace: "acme"}
		call(t, c, admin.NamespaceCreate, admin.NamespaceCreateParams{NamespaceParams: acme})
		call(t, c, admin.GrantAdd, admin.GrantAddParams{Subject: "anonymous", Role: "reader", Namespace: "acme"})
		call(t, c, admin.NamespaceDelete, acme)
		if list := call(t, c, admin.GrantList, admin.GrantListParams{}); len(list) != 0 {
			t.Errorf("deleted: %+v", list)
		}
		call(t, c, admin.NamespaceRestore, acme)
		if list := call(t, c, admin.GrantList, admin.GrantListParams{Namespace: "acme"}); len(list) != 1 {
			t.Errorf("restored: %+v", list)
		}
		if _, err := admin.Call(t.Context(), c, admin.NamespaceRestore, acme, nil); !errors.Is(err, registry.NameUnknown) {
			t.Errorf("restored twice: %v", err)
		}
	})
}

const file = `{
	"namespaces": [
		{"name": "/", "first_push": "admin"},
		{"name": "acme", "visibility": "private", "quota": {"bytes": 1000},
		 "grants": [
			{"subject": "group:devs", "role": "publisher"},
			{"subject": "bob", "role": "create", "deny": true},
			{"subject": "anonymous", "role": "read,list", "repositories": "acme/public/**"}],
		 "trusts": [{"name": "release", "issuer": "https://ci.example.com", "claims": {"project_id": "42"}}]}],
	"users": [{"name": "alice", "full_name": "Alice A."}, {"name": "bob", "disabled": true}],
	"services": [{"name": "ci", "description": "builds", "exempt": true}],
	"groups": [{"name": "devs", "members": ["alice", "service:ci"]}],
	"grants": [{"subject": "alice", "role": "admin"}]
}`

func accessFile(t *testing.T, text string) (f admin.AccessFile) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		t.Fatal(err)
	}
	return f
}

func whats(a admin.Applied) (list []string) {
	for _, c := range a.Changes {
		list = append(list, c.Effect+" "+c.What)
	}
	return list
}

func TestApply(t *testing.T) {
	t.Parallel()
	callers(t, func(t *testing.T, _ *admin.Env, c admin.Caller) {
		t.Helper()
		check := func(step string, p admin.AccessApplyParams, want ...string) {
			t.Helper()
			if diff := cmp.Diff(want, whats(call(t, c, admin.AccessApply, p)), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", step, diff)
			}
		}
		p := admin.AccessApplyParams{Access: accessFile(t, file)}
		all := []string{
			"+ namespace / (first_push admin)",
			"+ namespace acme (visibility private)",
			"~ namespace acme: quota none → 1000 bytes",
			"+ user alice (full_name Alice A.)",
			"+ user bob",
			"~ user bob: disabled",
			"+ service ci (description builds, exempt true)",
			"+ group devs",
			"+ service:ci in group devs",
			"+ user:alice in group devs",
			"+ denial of create on acme/** to user:bob in acme",
			"+ grant of admin on ** to user:alice",
			"+ grant of reader on acme/public/** to anonymous in acme",
			"+ grant of publisher on acme/** to group:devs in acme",
			`+ trust rule release: publisher on acme/** for https://ci.example.com with {"project_id":"42"}`,
		}
		p.DryRun = true
		check("dry run", p, all...)
		check("dry run again", p, all...)
		p.DryRun = false
		check("first", p, all...)
		check("second", p)
		p.Prune = true
		check("nothing to prune", p)

		exported := call(t, c, admin.AccessExport, admin.None{})
		check("what was exported", admin.AccessApplyParams{Access: exported, Prune: true})

		// Something else.
		p.Access.Users[0].FullName = "Alice B."
		p.Access.Users = p.Access.Users[:1]
		acme := &p.Access.Namespaces[1]
		acme.Grants, acme.Visibility, acme.Quota = acme.Grants[:1], "", nil
		acme.Trusts[0].Role = "maintainer"
		p.Access.Groups[0].Members = []string{"alice"}
		p.Prune = false
		check("without pruning", p,
			"~ namespace acme: visibility private → none",
			"~ namespace acme: quota 1000 bytes → none",
			"~ user alice: full_name Alice A. → Alice B.",
			`~ trust rule release: publisher on acme/** for https://ci.example.com with {"project_id":"42"} → maintainer on acme/** for https://ci.example.com with {"project_id":"42"}`,
		)
		p.Prune = true
		check("with pruning", p,
			"- service:ci in group devs",
			"- denial of create on acme/** to user:bob in acme",
			"- grant of reader on acme/public/** to anonymous in acme",
			"- user bob",
		)
		check("pruned", p)
	})
}

// What an export says of one registry makes another like it.
func TestApplyElsewhere(t *testing.T) {
	t.Parallel()
	from, to := admin.Local{Env: environment(t, t.TempDir())}, admin.Local{Env: environment(t, t.TempDir())}
	call(t, from, admin.AccessApply, admin.AccessApplyParams{Access: accessFile(t, file)})
	want := call(t, from, admin.AccessExport, admin.None{})
	call(t, to, admin.AccessApply, admin.AccessApplyParams{Access: want})
	if diff := cmp.Diff(want, call(t, to, admin.AccessExport, admin.None{})); diff != "" {
		t.Errorf("(-from +to):\n%s", diff)
	}
}

// A file says where it is wrong, and nothing of it is applied.
func TestApplyRefuses(t *testing.T) {
	t.Parallel()
	c := admin.Local{Env: environment(t, t.TempDir())}
	for _, tc := range []struct{ name, text, want string }{
		{"role", `{"grants": [{"subject": "anonymous", "role": "king"}]}`, `grants[0]: "king" is not a role`},
		{"pattern", `{"namespaces": [{"name": "acme", "grants": [{"subject": "anonymous", "role": "reader", "repositories": "**"}]}]}`, "namespaces[0].grants[0]: ** reaches out of the namespace"},
		{"somebody unknown", `{"users": [{"name": "a"}], "grants": [{"subject": "a", "role": "reader"}, {"subject": "group:x", "role": "reader"}]}`, "grants[1]: there is no group x"},
		{"member", `{"groups": [{"name": "g", "members": ["group:g"]}]}`, "groups[0].members[0]: "},
		{"twice", `{"users": [{"name": "a"}, {"name": "a"}]}`, "users[1]: a is there twice"},
		{"grant twice", `{"grants": [{"subject": "anonymous", "role": "reader"}, {"subject": "anonymous", "role": "read,list", "repositories": "**"}]}`, "grants[1]: it is there twice"},
		{"no name", `{"services": [{}]}`, "services[0]: it has no name"},
		{"namespace", `{"namespaces": [{"name": "Acme"}]}`, `namespaces[0]: "Acme" is not a namespace`},
		{"visibility", `{"namespaces": [{"name": "acme", "visibility": "secret"}]}`, `namespaces[0]: visibility is "secret"`},
		{"quota", `{"namespaces": [{"name": "acme", "quota": {"bytes": -1}}]}`, `namespaces[0].quota: `},
		{"no claims", `{"trusts": [{"name": "t", "issuer": "https://x.example"}]}`, `trusts[0]: it has no claims`},
	} {
		_, err := admin.Call(t.Context(), c, admin.AccessApply, admin.AccessApplyParams{Access: accessFile(t, tc.text)}, nil)
		if err == nil || !strings.HasPrefix(registry.Public(err).Message, tc.want) {
			t.Errorf("%s: %v, want %s", tc.name, err, tc.want)
		}
	}
	if diff := cmp.Diff(admin.AccessFile{}, call(t, c, admin.AccessExport, admin.None{})); diff != "" {
		t.Errorf("applied all the same (-want +got):\n%s", diff)
	}
}

// Whoever prunes keeps a way in: the account, and what makes it administrator.
func TestPruneKeepsTheCaller(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, subject, text string
		kept                []string
	}{
		{"its own grant", "service:lead", `{}`, []string{"service:lead: it is you", "grant of admin on ** to service:lead: you administer the registry by it alone"}},
		{"a group's", "group:leads", `{"services": [{"name": "lead"}]}`, []string{"grant of admin on ** to group:leads: you administer the registry by it alone"}},
		{"another way", "service:lead", `{"services": [{"name": "lead"}], "groups": [{"name": "g", "members": ["service:lead"]}], "grants": [{"subject": "group:g", "role": "admin"}]}`, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			env := environmentWith(t, t.TempDir(), nil)
			local := admin.Local{Env: env}
			lead := somebody(t, local, "lead")
			somebody(t, local, "other")
			call(t, local, admin.GroupCreate, admin.GroupCreateParams{GroupParams: admin.GroupParams{Group: "leads"}})
			call(t, local, admin.GroupAdd, admin.MemberParams{GroupParams: admin.GroupParams{Group: "leads"}, Member: "service:lead"})
			call(t, local, admin.GrantAdd, admin.GrantAddParams{Subject: tc.subject, Role: "admin"})
			ask := as(t, env)
			res := ask(lead, "POST", "/access", `{"prune": true, "access": `+tc.text+`}`)
			var done admin.Applied
			if err := json.Unmarshal([]byte(res.body), &done); err != nil || res.status != http.StatusOK {
				t.Fatalf("%d %v", res.status, err)
			}
			if diff := cmp.Diff(tc.kept, done.Kept); diff != "" {
				t.Errorf("kept (-want +got):\n%s", diff)
			}
			if list := call(t, local, admin.SAList, admin.Page{}); len(list) != 1 || list[0].Name != "lead" {
				t.Errorf("service accounts: %+v", list)
			}
			if res := ask(lead, "GET", "/access", ""); res.status != http.StatusOK {
				t.Errorf("locked out: %d %s", res.status, res.body)
			}
		})
	}
}
