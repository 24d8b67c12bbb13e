package typetest

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// Rights are verbs by repository, "" being all there are.
type Rights map[registry.Repo][]registry.Verb

// may tells whether r or, with below, what is below it is among the rights.
func (rights Rights) may(v registry.Verb, r registry.Repo, below bool) bool {
	for name, verbs := range rights {
		if slices.Contains(verbs, v) && (name == "" || name == r || below && (r == "" || strings.HasPrefix(string(name), string(r)+"/"))) {
			return true
		}
	}
	return false
}

// Person is somebody with an account.
type Person struct {
	Password string
	Rights   Rights
}

// People are those who have accounts in a [Place], by name: a stand-in for the
// server's policy and accounts. Whoever shows the token "TOKEN-NAME" is NAME.
type People struct {
	Known map[string]Person
	Jobs  map[string]string // what ID tokens are exchanged for: names

	mu     sync.Mutex
	public map[registry.Repo]bool
	tokens map[string]artifacttypes.Token // beside those that always are, by text
	begun  map[string]string              // log-ins in a browser: who logged in, by secret
}

const tokenPrefix = "TOKEN-"

// Browse logs name in at the page of a log-in that was begun.
func (p *People) Browse(secret, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begun[secret] = name
}

// Publish makes r readable by everybody.
func (p *People) Publish(r registry.Repo) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.public == nil {
		p.public = map[registry.Repo]bool{}
	}
	p.public[r] = true
}

func (p *People) isPublic(r registry.Repo) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.public[r]
}

// admit returns the name of who sends a request, "" for nobody.
func (p *People) admit(r *http.Request) (string, error) {
	user, secret, basic := r.BasicAuth()
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch {
	case scheme == "":
		return "", nil
	case basic && p.Known[user].Password == secret && secret != "":
		return user, nil
	case basic:
		token = secret
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	name, ok := strings.CutPrefix(token, tokenPrefix)
	if made, is := p.tokens[token]; is {
		name = made.Name
	} else if _, known := p.Known[name]; !ok || !known {
		return "", registry.E("typetest", registry.Unauthorized, nil, "the token is not valid")
	}
	return name, nil
}

// nameOf is who the gate and the accounts take the caller for.
func nameOf(ctx context.Context) string { return registry.CallerOf(ctx).Principal }

// decide is what the server's gate answers.
func (p *People) decide(ctx context.Context, v registry.Verb, r registry.Repo, below bool) error {
	const op = "typetest.gate"
	name := nameOf(ctx)
	reading := v == registry.Read || v == registry.List
	switch {
	case v == registry.Enter, p.Known[name].Rights.may(v, r, below), reading && p.seen(r, below):
		return nil
	case name == "":
		return registry.E(op, registry.Unauthorized, nil, "log in to %s %s", v, r)
	case reading:
		return registry.E(op, registry.NameUnknown, nil, "there is no repository %s", r)
	}
	return registry.E(op, registry.Denied, nil, "%s may not %s in %s", name, v, r)
}

// seen tells whether r or, with below, something below it is public.
func (p *People) seen(r registry.Repo, below bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	rights := Rights{}
	for name := range p.public {
		rights[name] = []registry.Verb{registry.Read}
	}
	return rights.may(registry.Read, r, below)
}

// Can implements [registry.Gate].
func (p *People) Can(ctx context.Context, v registry.Verb, r registry.Repo) error {
	return p.decide(ctx, v, r, false)
}

// Some implements [registry.Gate].
func (p *People) Some(ctx context.Context, v registry.Verb, r registry.Repo) error {
	return p.decide(ctx, v, r, true)
}

// All implements [registry.Gate].
func (p *People) All(ctx context.Context, v registry.Verb, _ registry.Repo) bool {
	return slices.Contains(p.Known[nameOf(ctx)].Rights[""], v)
}

// Class implements [registry.Gate].
func (p *People) Class(ctx context.Context) string { return "seen by " + nameOf(ctx) }

// made adds a token and returns it with its text.
func (p *People) made(name string, t artifacttypes.Token) artifacttypes.Token {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tokens == nil {
		p.tokens = map[string]artifacttypes.Token{}
	}
	t.ID = "id" + string(rune('a'+len(p.tokens)))
	t.Text = tokenPrefix + t.ID
	t.Created = time.Unix(0, 0)
	kept := t
	kept.Name = name
	p.tokens[t.Text] = kept
	return t
}

// list returns the made tokens of name, in order.
func (p *People) list(name string) []artifacttypes.Token {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []artifacttypes.Token
	for _, text := range slices.Sorted(maps.Keys(p.tokens)) {
		if t := p.tokens[text]; t.Name == name {
			t.Text = tokenPrefix
			list = append(list, t)
		}
	}
	return list
}
