package server

import (
	"context"
	"slices"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/auth"
	"github.com/packhouse/packhouse/registry/oidc"
)

// account is what a feed's protocol may ask about the caller's account.
type account struct {
	*Backend
	feed registry.Feed
	base string
}

var _ artifacttypes.Account = account{}

func (b *Backend) account(f registry.Feed, base string) artifacttypes.Account {
	if b.Auth.Open() {
		return artifacttypes.Open{}
	}
	return account{b, f, base}
}

func (a account) Name(ctx context.Context) string {
	if id := identity(ctx); id != nil && id.Kind != auth.Anonymous {
		return id.Name
	}
	return ""
}

func identity(ctx context.Context) *auth.Identity {
	id, _ := registry.CallerOf(ctx).Identity.(*auth.Identity)
	return id
}

func (a account) Login(ctx context.Context, user, password string) (string, error) {
	c := registry.CallerOf(ctx)
	id, err := a.Auth.Authenticate(ctx, auth.Credential{User: user, Secret: password}, c.Address)
	if err != nil {
		return "", err
	}
	if id.Token != "" { // a token for a password: there is no need of another
		return password, nil
	}
	m, err := a.Auth.Mint(ctx, auth.MintParams{Principal: id.ID, Name: "login " + clientName(c)})
	return m.Secret, err
}

// clientName is the first product of a User-Agent.
func clientName(c *registry.Caller) string {
	for i := range len(c.Client) {
		if c.Client[i] == ' ' {
			return c.Client[:i]
		}
	}
	return c.Client
}

func (a account) WebLogin(ctx context.Context, client string) (artifacttypes.WebLogin, error) {
	p, err := a.OIDC.Begin(ctx, client, registry.CallerOf(ctx).Address)
	return artifacttypes.WebLogin{Page: a.OIDC.LoginURL(a.base, p.ID), ID: p.ID, Secret: p.Secret}, err
}

func (a account) WebDone(ctx context.Context, id, secret string) (string, bool, error) {
	m, waiting, err := a.OIDC.Done(ctx, id, secret)
	return m.Secret, waiting, err
}

func (a account) Exchange(ctx context.Context, idToken string, audiences []string, pkg string) (string, error) {
	r, err := a.Engine.PackageRepo(a.feed, pkg)
	if err != nil {
		return "", err
	}
	m, err := a.OIDC.Exchange(ctx, idToken, oidc.Want{Repository: r, Audiences: audiences}, registry.CallerOf(ctx).Address)
	return m.Secret, err
}

// tokenPage is how many tokens one answer lists.
const tokenPage = 100

func (a account) Tokens(ctx context.Context, after string) (list []artifacttypes.Token, next string, err error) {
	if a.Name(ctx) == "" {
		return nil, "", logIn()
	}
	page, err := a.Auth.Tokens(ctx, "", after, tokenPage)
	for _, t := range page {
		list = append(list, shownToken(t))
	}
	if len(page) == tokenPage {
		next = page[len(page)-1].ID
	}
	return list, next, err
}

func shownToken(t auth.Token) artifacttypes.Token {
	return artifacttypes.Token{
		ID: t.ID, Text: auth.TokenPrefix, Name: t.Name, Created: t.Created, Expires: t.Expires, Narrow: t.Scope != nil,
		ReadOnly: t.Scope != nil && !slices.ContainsFunc(t.Scope, func(s auth.Scope) bool { return s.Role != "reader" }),
	}
}

func logIn() error {
	return registry.E("server.account", registry.Unauthorized, nil, "log in to do this")
}

func (a account) CreateToken(ctx context.Context, password string, n artifacttypes.NewToken) (artifacttypes.Token, error) {
	id := identity(ctx)
	switch {
	case a.Name(ctx) == "":
		return artifacttypes.Token{}, logIn()
	case id.Kind != auth.User:
		return artifacttypes.Token{}, registry.E("server.account", registry.Denied, nil, "%s has no password: make its tokens with `packhouse token create`", id)
	}
	if _, err := a.Auth.Authenticate(ctx, auth.Credential{User: id.Name, Secret: password}, registry.CallerOf(ctx).Address); err != nil {
		return artifacttypes.Token{}, err
	}
	p := auth.TokenParams{Name: n.Name, TTL: n.Life}
	role := "admin"
	if n.ReadOnly {
		role = "reader"
	}
	for _, pkg := range n.Packages {
		r, err := a.Engine.PackageRepo(a.feed, pkg)
		if err != nil {
			return artifacttypes.Token{}, err
		}
		p.Scope = append(p.Scope, auth.Scope{Repositories: string(r), Role: role})
	}
	if len(n.Packages) == 0 && n.ReadOnly {
		p.Scope = []auth.Scope{{Repositories: "**", Role: role}}
	}
	t, secret, err := a.Auth.CreateToken(ctx, p)
	shown := shownToken(t)
	shown.Text = secret
	return shown, err
}

func (a account) RevokeToken(ctx context.Context, which string) error {
	if a.Name(ctx) == "" {
		return logIn()
	}
	return a.Auth.RevokeToken(ctx, which)
}

func (a account) repo(pkg string) (registry.Repo, error) { return a.Engine.PackageRepo(a.feed, pkg) }

func (a account) Allow(ctx context.Context, v registry.Verb, pkg string) error {
	r, err := a.repo(pkg)
	if err != nil {
		return err
	}
	return a.Gate().Can(ctx, v, r)
}

func (a account) MayWrite(ctx context.Context, pkg string) bool {
	return a.Allow(ctx, registry.Create, pkg) == nil
}

func (a account) Public(_ context.Context, pkg string) bool {
	r, err := a.repo(pkg)
	return err == nil && a.Auth.Policy().May(&auth.Identity{Kind: auth.Anonymous}, registry.Read, r)
}

func (a account) SetPublic(ctx context.Context, pkg string, public bool) error {
	r, err := a.repo(pkg)
	if err != nil {
		return err
	}
	visibility := "private"
	if public {
		visibility = "public"
	}
	_, err = a.Auth.SetVisibility(ctx, "repository", r, visibility)
	return err
}
