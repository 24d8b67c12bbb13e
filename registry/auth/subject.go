package auth

import (
	"context"
	"errors"
	"strings"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// Root is how the namespace without a name is written where "" is the whole
// registry.
const Root = "/"

// maxName bounds the names of users, service accounts, groups and trust rules.
const maxName = 64

// LegalName tells whether s can be the name of a user, a service account, a
// group or a trust rule: 1 to 64 of a-z 0-9 . _ @ + -, the first a letter or a
// digit.
func LegalName(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case i > 0 && strings.IndexByte("._@+-", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// LegalUser tells whether s can be the name of a user or service account: a
// legal name that means nothing else.
func LegalUser(s string) bool { return LegalName(s) && !reserved(s) }

// reserved names mean something else where a user's name could stand.
func reserved(name string) bool {
	return name == Anonymous.String() || name == Operator.String() || name == "server"
}

// checkName refuses a name for a new thing of that kind.
func checkName(op, kind, name string) error {
	switch {
	case !LegalName(name):
		return registry.E(op, registry.ParameterInvalid, nil,
			"%q cannot be the name of a %s: use 1 to %d of a-z, 0-9, '.', '_', '@', '+' and '-', the first a letter or a digit", clip(name), kind, maxName)
	case reserved(name):
		return registry.E(op, registry.ParameterInvalid, nil, "%q cannot be the name of a %s: it means something else", name, kind)
	}
	return nil
}

// What a client can describe things with.
const maxText = 200

func checkText(op, what, text string) error {
	if len(text) > maxText || !printable(text) {
		return registry.E(op, registry.ParameterInvalid, nil, "the %s must be at most %d bytes of text without control characters", what, maxText)
	}
	return nil
}

const kindGroup = "group"

// parseSubject reads user:NAME, service:NAME, group:NAME, workload:NAME,
// anonymous, or the name of a user alone. It returns PARAMETER_INVALID.
func parseSubject(op, text string) (kind, name string, err error) {
	if text == Anonymous.String() {
		return text, "", nil
	}
	kind, name, ok := strings.Cut(text, ":")
	if !ok {
		kind, name = meta.KindUser, text
	}
	switch kind {
	case meta.KindUser, meta.KindService, kindGroup, Workload.String():
		if LegalName(name) {
			return kind, name, nil
		}
	}
	return "", "", registry.E(op, registry.ParameterInvalid, nil,
		"%q is nobody: write user:NAME, service:NAME, group:NAME, workload:NAME or anonymous", clip(text))
}

// lookups are what both a Store and a Tx can find.
type lookups interface {
	Principal(ctx context.Context, kind, name string) (meta.Principal, error)
	PrincipalByID(ctx context.Context, id int64) (meta.Principal, error)
	Group(ctx context.Context, name string) (meta.Group, error)
	Namespace(ctx context.Context, name string) (meta.Namespace, error)
	Trust(ctx context.Context, name string) (meta.Trust, error)
}

// principal finds a user or service account. It returns NAME_UNKNOWN.
func principal(ctx context.Context, in lookups, op, kind, name string) (meta.Principal, error) {
	p, err := in.Principal(ctx, kind, name)
	if errors.Is(err, meta.ErrNotFound) {
		return p, registry.E(op, registry.NameUnknown, nil, "there is no %s %q", kindText(kind), clip(name))
	}
	return p, err
}

func kindText(kind string) string {
	if kind == meta.KindService {
		return "service account"
	}
	return kind
}

// group finds a group. It returns NAME_UNKNOWN.
func group(ctx context.Context, in lookups, op, name string) (meta.Group, error) {
	g, err := in.Group(ctx, name)
	if errors.Is(err, meta.ErrNotFound) {
		return g, registry.E(op, registry.NameUnknown, nil, "there is no group %q", clip(name))
	}
	return g, err
}

// namespaceText is how a row's namespace is written.
func namespaceText(id int64, name string) string {
	if id != 0 && name == "" {
		return Root
	}
	return name
}

// namespace finds the row of a live namespace: 0 for "", the whole registry.
// It returns NAME_UNKNOWN.
func namespace(ctx context.Context, in lookups, op, text string) (meta.Namespace, error) {
	if text == "" {
		return meta.Namespace{}, nil
	}
	name := text
	if text == Root {
		name = ""
	}
	n, err := in.Namespace(ctx, name)
	if errors.Is(err, meta.ErrNotFound) {
		return n, registry.E(op, registry.NameUnknown, nil, "there is no namespace %s", clip(text))
	}
	return n, err
}

// administer asks the gate whether the caller may administer a namespace, as
// [namespaceText] writes it: all of it, since what is set on it holds for all.
func (s *Service) administer(ctx context.Context, op, text string) error {
	if text == "" || text == Root || s.administers(ctx) {
		return s.gate.Can(ctx, registry.Admin, "")
	}
	r := registry.Repo(text)
	if err := s.gate.Can(ctx, registry.Admin, r); err != nil {
		return err
	}
	if !s.gate.All(ctx, registry.Admin, r) {
		return registry.E(op, registry.Denied, nil, "%s may not administer all of %s: that takes the role admin on %s", identityOf(ctx), r, namespaceGlob(text))
	}
	return nil
}

// administers tells whether the caller may administer the whole registry.
func (s *Service) administers(ctx context.Context) bool {
	return s.gate.Can(asking(ctx), registry.Admin, "") == nil
}

// asking is ctx of a question: a refusal is no attempt.
func asking(ctx context.Context) context.Context {
	c := *registry.CallerOf(ctx)
	c.Asking = true
	return registry.WithCaller(ctx, &c)
}

// self is the user or service account that asks; nil for anybody else, and for
// a token of Docker's protocol, which is for repositories alone.
func self(ctx context.Context) *Identity {
	id := identityOf(ctx)
	if id == nil || id.Claims != nil || id.Kind != User && id.Kind != ServiceAccount {
		return nil
	}
	return id
}

// page bounds what one call lists.
func page(limit int) int {
	const normal, most = 100, 1000
	if limit <= 0 {
		return normal
	}
	return min(limit, most)
}
