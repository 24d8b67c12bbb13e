package oidc

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"
	"unicode"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/auth"
	"github.com/packhouse/packhouse/storage/meta"
)

// tokenTTL is how long what a job gets is good for.
const tokenTTL = 15 * time.Minute

// Want is what an ID token is exchanged for.
type Want struct {
	// Repository is the one to publish to; the token is for it alone. "" is for
	// all that the rule says.
	Repository registry.Repo
	// Audiences are accepted beside the registry's own if they name its host,
	// such as "npm:packages.example.com".
	Audiences []string
}

// Exchange gives a CI job that shows its ID token a token of ours, which may
// do what one trust rule says and lasts 15 minutes at most. It returns
// UNAUTHORIZED for a token that is not good, DENIED for a good one that no rule
// fits, PARAMETER_INVALID if several fit and want names no repository,
// UNAVAILABLE while the issuer's keys cannot be read.
//
// The same ID token may be exchanged again while it is valid: a job that
// publishes several packages gets one token for each from one ID token, as npm
// and uv do, and clients repeat what was cut off. Whoever stole it gains nothing
// by the second exchange that the first did not give, and nothing needs to be
// remembered on all replicas.
func (s *Service) Exchange(ctx context.Context, rawIDToken string, want Want, address string) (auth.Minted, error) {
	const op = "oidc.Exchange"
	iss, err := unverifiedIssuer(rawIDToken)
	if err != nil {
		return auth.Minted{}, notGood(op, err)
	}
	all := s.cfg.Auth.Policy().Trusts()
	s.issuers.keep(func(name string) bool {
		return name == s.cfg.People.Issuer || slices.ContainsFunc(all, func(r meta.Trust) bool { return r.Issuer == name })
	})
	rules := slices.DeleteFunc(slices.Clone(all), func(r meta.Trust) bool { return r.Issuer != iss })
	if len(rules) == 0 {
		return auth.Minted{}, registry.E(op, registry.Unauthorized, nil, "no trust rule names the issuer of this ID token: add one for it")
	}
	c, err := s.issuers.get(iss).verify(ctx, rawIDToken)
	if _, fetching := errors.AsType[*fetchError](err); fetching {
		s.log.WarnContext(ctx, "issuer cannot be asked", "issuer", iss, "error", err)
		return auth.Minted{}, registry.E(op, registry.Unavailable, err, "the issuer of this ID token cannot be asked for its keys at the moment: try again")
	}
	if err != nil {
		return auth.Minted{}, notGood(op, err)
	}
	rule, err := s.choose(ctx, op, c, rules, want)
	if err != nil {
		return auth.Minted{}, err
	}
	sub, _ := c.text("sub")
	subject := external(iss, sub)
	scope := auth.Scope{Repositories: rule.Repositories, Role: rule.Role}
	if want.Repository != "" {
		scope.Repositories = string(want.Repository)
	}
	ctx = as(ctx, auth.Workload.String()+":"+rule.Name, subject, address)
	m, err := s.cfg.Auth.Mint(ctx, auth.MintParams{
		Trust: rule.ID, Name: clip(sub, maxName), TTL: tokenTTL, Scope: []auth.Scope{scope}, Subject: subject,
	})
	return m, wrap(op, err)
}

// maxName bounds the name of a token.
const maxName = 100

// external names whom an issuer vouches for. An issuer has no space in it.
func external(issuer, subject string) string { return issuer + " " + subject }

func notGood(op string, err error) error {
	return registry.E(op, registry.Unauthorized, err, "the ID token is not valid: %s", reason(err))
}

// reason is what of an error a client may read: our own words, never what a
// library or another server said.
func reason(err error) string {
	if ours, ok := errors.AsType[*checkError](err); ok {
		return ours.text
	}
	return "it is malformed or has expired"
}

// choose finds the rule that a token fits, for the repository that is wanted.
func (s *Service) choose(ctx context.Context, op string, c claims, rules []meta.Trust, want Want) (meta.Trust, error) {
	var audience, claim error
	var fitting, covering []meta.Trust
	for _, r := range rules {
		_, vouched := r.Claims["azp"]
		if err := c.forAudience(s.audiences(r, want), vouched); err != nil {
			audience = err
			continue
		}
		if missing, ok := c.fits(r); !ok {
			s.log.InfoContext(ctx, "trust rule does not fit", "rule", r.Name, "claim", missing)
			claim = errors.New(missing)
			continue
		}
		fitting = append(fitting, r)
		if glob, err := auth.CompileGlob(r.Repositories); want.Repository != "" && err == nil && glob.Match(string(want.Repository)) {
			covering = append(covering, r)
		}
	}
	switch {
	case len(fitting) == 0 && claim == nil:
		return meta.Trust{}, notGood(op, audience)
	case len(fitting) == 0:
		sub, _ := c.text("sub")
		return meta.Trust{}, registry.E(op, registry.Denied, nil,
			"no trust rule fits the claims of this ID token, whose subject is %q: compare them with the rule's", clip(sub, 200))
	case want.Repository != "" && len(covering) == 0:
		return meta.Trust{}, registry.E(op, registry.Denied, nil, "no trust rule lets this job use %s: widen the rule's repositories, or publish to what it names", want.Repository)
	case want.Repository != "":
		fitting = covering
	case len(fitting) > 1:
		return meta.Trust{}, registry.E(op, registry.ParameterInvalid, nil, "%d trust rules fit this ID token: name the repository it is for, or make them one rule", len(fitting))
	}
	// Where several would do, the one that may most.
	return slices.MinFunc(fitting, func(a, b meta.Trust) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.ID, b.ID))
	}), nil
}

// rank is lower for a role that may more.
func rank(r meta.Trust) int {
	verbs, err := auth.ParseRole(r.Role)
	if err != nil {
		return len(registry.Grantable()) + 1
	}
	n := len(registry.Grantable())
	for _, v := range registry.Grantable() {
		if verbs.Has(v) {
			n--
		}
	}
	return n
}

// audiences are those that a rule accepts: its own, or else the registry's.
func (s *Service) audiences(r meta.Trust, want Want) []string {
	if r.Audience != "" {
		return []string{r.Audience}
	}
	var list []string
	if s.cfg.Audience != "" {
		list = append(list, s.cfg.Audience)
	}
	for _, a := range want.Audiences {
		if s.ours(a) {
			list = append(list, a)
		}
	}
	return list
}

// as is ctx with somebody in it, whom others vouched for: what the audit tells.
func as(ctx context.Context, principal, subject, address string) context.Context {
	c := *registry.CallerOf(ctx)
	c.Principal, c.Subject = principal, subject
	if address != "" {
		c.Address = address
	}
	return registry.WithCaller(ctx, &c)
}

// clip cuts s to at most n bytes of printable characters.
func clip(s string, n int) string {
	b := make([]byte, 0, min(len(s), n))
	for _, r := range s {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			r = '?' // what could turn the text around, too
		}
		if len(b)+len(string(r)) > n {
			break
		}
		b = append(b, string(r)...)
	}
	return string(b)
}
