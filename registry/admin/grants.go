package admin

import (
	"context"
	"strconv"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/auth"
)

// Operations on grants and trust rules, and questions about them.
const (
	GrantList   Name[GrantListParams, []Grant]    = "grant.list"
	GrantAdd    Name[GrantAddParams, Grant]       = "grant.add"
	GrantRemove Name[GrantParams, None]           = "grant.remove"
	TrustList   Name[TrustListParams, []Trust]    = "trust.list"
	TrustAdd    Name[TrustAddParams, Trust]       = "trust.add"
	TrustRemove Name[TrustParams, None]           = "trust.remove"
	Can         Name[CanParams, auth.Explanation] = "can"
	WhoAmI      Name[None, Me]                    = "whoami"
)

// GrantListParams select grants.
type GrantListParams struct {
	Page
	Namespace string `json:"namespace,omitempty" doc:"those of this namespace; / is the root namespace; empty for all that you may see"`
	Subject   string `json:"subject,omitempty" doc:"those of user:NAME, group:NAME, service:NAME, anonymous, or the name of a user alone"`
}

// GrantParams name a grant.
type GrantParams struct {
	Grant int64 `json:"grant" doc:"its number"`
}

// GrantAddParams say who may do what, or may not.
type GrantAddParams struct {
	Subject      string `json:"subject" doc:"user:NAME, group:NAME, service:NAME, the name of a user alone, or anonymous: everybody, logged in or not"`
	Role         string `json:"role" doc:"reader, publisher, maintainer, admin, or verbs separated by commas"`
	Namespace    string `json:"namespace,omitempty" doc:"it goes with this namespace; / is the root namespace; empty for the whole registry"`
	Repositories string `json:"repositories,omitempty" doc:"pattern of names; empty for all of the namespace, or of the registry"`
	Deny         bool   `json:"deny,omitempty" doc:"they may not, whatever else is granted"`
}

// Grant is one grant.
type Grant struct {
	ID           int64     `json:"id"`
	Subject      string    `json:"subject" doc:"user:NAME, group:NAME, service:NAME or anonymous"`
	Role         string    `json:"role"`
	Namespace    string    `json:"namespace,omitempty" doc:"absent for the whole registry"`
	Repositories string    `json:"repositories"`
	Deny         bool      `json:"deny,omitempty"`
	Created      time.Time `json:"created"`
}

func (g Grant) key() string { return strconv.FormatInt(g.ID, 10) }

// TrustListParams select trust rules.
type TrustListParams struct {
	Page
	Namespace string `json:"namespace,omitempty" doc:"those of this namespace; / is the root namespace; empty for all that you may see"`
}

// TrustParams name a trust rule.
type TrustParams struct {
	Trust string `json:"trust" doc:"its name"`
}

// TrustAddParams say which CI jobs may publish what.
type TrustAddParams struct {
	TrustParams
	Namespace    string            `json:"namespace,omitempty" doc:"it goes with this namespace; / is the root namespace; empty for the whole registry"`
	Issuer       string            `json:"issuer" doc:"URL of who signs the jobs' ID tokens"`
	Audience     string            `json:"audience,omitempty" doc:"whom the ID tokens must be meant for; empty for this registry"`
	Claims       map[string]string `json:"claims" doc:"what else the ID tokens must say: claim and value"`
	Role         string            `json:"role,omitempty" doc:"what such a job may do; empty for publisher"`
	Repositories string            `json:"repositories,omitempty" doc:"pattern of names; empty for all of the namespace"`
}

// Trust is one trust rule.
type Trust struct {
	Name         string            `json:"name"`
	Namespace    string            `json:"namespace,omitempty" doc:"absent for the whole registry"`
	Issuer       string            `json:"issuer"`
	Audience     string            `json:"audience,omitempty" doc:"absent for this registry"`
	Claims       map[string]string `json:"claims"`
	Role         string            `json:"role"`
	Repositories string            `json:"repositories"`
	Created      time.Time         `json:"created"`
}

func (t Trust) key() string { return t.Name }

// CanParams ask for a decision.
type CanParams struct {
	Subject string `json:"subject" doc:"user:NAME, service:NAME, workload:NAME of a trust rule, anonymous, or the name of a user alone"`
	Action  string `json:"action" doc:"a verb, or pull, push or delete"`
	Repo    string `json:"repo" doc:"the name of a repository, a feed or a namespace; / is the whole registry"`
}

// Me is the caller, as the registry knows it.
type Me struct {
	Principal string   `json:"principal" doc:"user:NAME, service:NAME, workload:NAME, anonymous or operator"`
	Token     string   `json:"token,omitempty" doc:"public id of the token that was shown"`
	Subject   string   `json:"subject,omitempty" doc:"of the OIDC token behind it"`
	Groups    []string `json:"groups,omitempty"`
}

func grantOf(g auth.Grant) Grant {
	return Grant{
		ID: g.ID, Subject: g.Subject, Role: g.Role, Namespace: g.Namespace, Repositories: g.Repositories, Deny: g.Deny, Created: g.Created,
	}
}

func grantList(ctx context.Context, env *Env, p GrantListParams) ([]Grant, error) {
	after, err := afterNumber(p.Page)
	if err != nil {
		return nil, err
	}
	list, err := env.Auth.Grants(ctx, auth.GrantFilter{Namespace: p.Namespace, Subject: p.Subject, After: after, Limit: p.size()})
	return convert(list, grantOf), err
}

func grantAdd(ctx context.Context, env *Env, p GrantAddParams, _ Report) (Grant, error) {
	g, err := env.Auth.AddGrant(ctx, auth.Grant{
		Subject: p.Subject, Role: p.Role, Namespace: p.Namespace, Repositories: p.Repositories, Deny: p.Deny,
	})
	return grantOf(g), err
}

func grantRemove(ctx context.Context, env *Env, p GrantParams, _ Report) (None, error) {
	return None{}, env.Auth.RemoveGrant(ctx, p.Grant)
}

func trustOf(t auth.Trust) Trust {
	return Trust{
		Name: t.Name, Namespace: t.Namespace, Issuer: t.Issuer, Audience: t.Audience, Claims: t.Claims, Role: t.Role, Repositories: t.Repositories, Created: t.Created,
	}
}

func trustList(ctx context.Context, env *Env, p TrustListParams) ([]Trust, error) {
	list, err := env.Auth.Trusts(ctx, p.Namespace, p.After, p.size())
	return convert(list, trustOf), err
}

func trustAdd(ctx context.Context, env *Env, p TrustAddParams, _ Report) (Trust, error) {
	t, err := env.Auth.AddTrust(ctx, auth.Trust{
		Name: p.Trust, Namespace: p.Namespace, Issuer: p.Issuer, Audience: p.Audience, Claims: p.Claims, Role: p.Role, Repositories: p.Repositories,
	})
	return trustOf(t), err
}

func trustRemove(ctx context.Context, env *Env, p TrustParams, _ Report) (None, error) {
	return None{}, env.Auth.RemoveTrust(ctx, p.Trust)
}

func can(ctx context.Context, env *Env, p CanParams, _ Report) (auth.Explanation, error) {
	verb, err := auth.ParseVerb(p.Action)
	if err != nil {
		return auth.Explanation{}, err
	}
	name, err := parseNamespace(p.Repo) // any legal name, or / for all
	if err != nil {
		return auth.Explanation{}, err
	}
	return env.Auth.Explain(ctx, p.Subject, verb, registry.Repo(name))
}

func whoAmI(ctx context.Context, env *Env, _ None, _ Report) (Me, error) {
	c := registry.CallerOf(ctx)
	me := Me{Principal: c.Principal, Token: c.Token, Subject: c.Subject}
	if id, ok := c.Identity.(*auth.Identity); ok && (id.Kind == auth.User || id.Kind == auth.ServiceAccount) {
		me.Groups = groupsOf(env, id.ID)
	}
	return me, nil
}
