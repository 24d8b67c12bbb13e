package typetest

import (
	"context"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// account is what one feed's protocol learns of [People].
type account struct {
	*People
	feed   registry.Feed
	format artifacttypes.Format
}

var _ artifacttypes.Account = account{}

func (a account) repo(pkg string) (registry.Repo, error) {
	name, _, err := a.format.Canonical(pkg, "")
	if err != nil {
		return "", err
	}
	path, err := a.format.Repository(name)
	return registry.Repo(a.feed.Name() + "/" + path), err
}

func (a account) Name(ctx context.Context) string { return nameOf(ctx) }

func (a account) Login(_ context.Context, user, password string) (string, error) {
	if p, ok := a.Known[user]; !ok || p.Password != password {
		return "", registry.E("typetest.Login", registry.Unauthorized, nil, "the user name or the password is wrong")
	}
	return a.made(user, artifacttypes.Token{}).Text, nil
}

func (a account) WebLogin(_ context.Context, client string) (artifacttypes.WebLogin, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.begun == nil {
		a.begun = map[string]string{}
	}
	a.begun["hush"] = ""
	return artifacttypes.WebLogin{Page: "http://page.example/" + client, ID: "7", Secret: "hush"}, nil
}

func (a account) WebDone(_ context.Context, id, secret string) (string, bool, error) {
	a.mu.Lock()
	name, ok := a.begun[secret]
	if name != "" {
		delete(a.begun, secret)
	}
	a.mu.Unlock()
	switch {
	case !ok || id != "7":
		return "", false, registry.E("typetest.WebDone", registry.Unauthorized, nil, "nobody is waited for: log in again")
	case name == "":
		return "", true, nil
	}
	return a.made(name, artifacttypes.Token{}).Text, false, nil
}

func (a account) Exchange(_ context.Context, idToken string, audiences []string, pkg string) (string, error) {
	name, ok := a.Jobs[idToken]
	if !ok || len(audiences) == 0 {
		return "", registry.E("typetest.Exchange", registry.Unauthorized, nil, "the ID token is not valid")
	}
	repo, err := a.repo(pkg)
	if err == nil && !a.Known[name].Rights.may(registry.Create, repo, false) {
		err = registry.E("typetest.Exchange", registry.Denied, nil, "no trust rule lets this job publish %s", pkg)
	}
	if err != nil {
		return "", err
	}
	return a.made(name, artifacttypes.Token{}).Text, nil
}

// Tokens has pages of two.
func (a account) Tokens(ctx context.Context, after string) (list []artifacttypes.Token, next string, err error) {
	const most = 2
	for _, t := range a.list(nameOf(ctx)) {
		if t.ID > after {
			list = append(list, t)
		}
	}
	if len(list) > most {
		list, next = list[:most], list[most-1].ID
	}
	return list, next, nil
}

func (a account) CreateToken(ctx context.Context, password string, t artifacttypes.NewToken) (artifacttypes.Token, error) {
	name := nameOf(ctx)
	if a.Known[name].Password != password {
		return artifacttypes.Token{}, registry.E("typetest.CreateToken", registry.Unauthorized, nil, "the password is wrong")
	}
	made := a.made(name, artifacttypes.Token{Narrow: t.ReadOnly || len(t.Packages) > 0, ReadOnly: t.ReadOnly})
	made.Name = t.Name
	if t.Life > 0 {
		made.Expires = made.Created.Add(t.Life)
	}
	return made, nil
}

func (a account) RevokeToken(ctx context.Context, which string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for text, t := range a.tokens {
		if (which == text || which == t.ID) && t.Name == nameOf(ctx) {
			delete(a.tokens, text)
			return nil
		}
	}
	return registry.E("typetest.RevokeToken", registry.NameUnknown, nil, "you have no such token")
}

func (a account) Allow(ctx context.Context, verb registry.Verb, pkg string) error {
	repo, err := a.repo(pkg)
	if err != nil {
		return err
	}
	return a.Can(ctx, verb, repo)
}

func (a account) MayWrite(ctx context.Context, pkg string) bool {
	return a.Allow(ctx, registry.Create, pkg) == nil
}

func (a account) Public(_ context.Context, pkg string) bool {
	repo, err := a.repo(pkg)
	return err == nil && a.isPublic(repo)
}

func (a account) SetPublic(ctx context.Context, pkg string, public bool) error {
	if err := a.Allow(ctx, registry.Admin, pkg); err != nil {
		return err
	}
	repo, err := a.repo(pkg)
	if err != nil || !public {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.public, repo)
		return err
	}
	a.People.Publish(repo)
	return nil
}
