package auth

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// Trust says which ID tokens, of which CI jobs, can be exchanged for a token
// that may do what.
type Trust struct {
	ID           int64
	Name         string // unique in the registry
	Namespace    string // which it dies with; [Root] for the root, "" for the whole registry
	Issuer       string // URL
	Audience     string // "" for the registry's own
	Claims       map[string]string
	Role         string // default publisher
	Repositories string // glob; "" for all of the namespace
	Created      time.Time
}

const (
	maxIssuer = 255
	maxClaims = 16
	maxClaim  = 255 // name or value
)

// AddTrust adds a trust rule. One that says the same under the same name is no
// error and keeps its id. It returns PARAMETER_INVALID, NAME_UNKNOWN, CONFLICT
// for a name that is taken, and what the gate says: it takes the role admin on
// all of the namespace.
func (s *Service) AddTrust(ctx context.Context, t Trust) (Trust, error) {
	const op = "auth.AddTrust"
	if err := s.administer(ctx, op, t.Namespace); err != nil {
		return Trust{}, err
	}
	t.Role = cmp.Or(t.Role, "publisher")
	if err := cmp.Or(checkName(op, "trust rule", t.Name), checkIssuer(op, t.Issuer), checkText(op, "audience", t.Audience), checkClaims(op, t.Claims)); err != nil {
		return Trust{}, err
	}
	var err error
	if t.Role, t.Repositories, err = bounded(op, t.Role, t.Repositories, t.Namespace); err != nil {
		return Trust{}, err
	}
	if verbs, err := ParseRole(t.Role); err != nil || verbs.Has(registry.Admin) {
		return Trust{}, registry.E(op, registry.ParameterInvalid, err, "a job cannot have the role admin: the most it can have is maintainer, or verbs such as maintainer's and delete")
	}
	err = s.change(ctx, op, durable, func(ctx context.Context, tx *meta.Tx) error {
		n, err := namespaceOrRoot(ctx, tx, op, t.Namespace)
		if err != nil {
			return err
		}
		row := meta.Trust{
			NamespaceID: n.ID, Namespace: n.Name, Name: t.Name, Issuer: t.Issuer, Audience: t.Audience, Claims: t.Claims, Role: t.Role, Repositories: t.Repositories,
		}
		switch known, err := tx.Trust(ctx, t.Name); {
		case err == nil && sameTrust(known, row):
			t = shownTrust(known)
			return errNothing
		case err == nil:
			return registry.E(op, registry.Conflict, nil, "there is a trust rule %q already: remove it first, or use another name", t.Name)
		case !errors.Is(err, meta.ErrNotFound):
			return err
		}
		id, err := tx.AddTrust(ctx, row)
		if err != nil {
			return err
		}
		if row, err = tx.TrustByID(ctx, id); err != nil {
			return err
		}
		t = shownTrust(row)
		return recordTrust(ctx, tx, "trust.add", row)
	})
	if err != nil {
		return Trust{}, err
	}
	return t, nil
}

func recordTrust(ctx context.Context, tx *meta.Tx, action string, t meta.Trust) error {
	detail := []string{"trust", t.Name, "issuer", t.Issuer, "audience", t.Audience, "role", t.Role, "repositories", t.Repositories}
	for claim, value := range t.Claims {
		detail = append(detail, "claim "+claim, value)
	}
	return record(ctx, tx, action, t.Namespace, detail...)
}

func sameTrust(a, b meta.Trust) bool {
	return a.NamespaceID == b.NamespaceID && a.Issuer == b.Issuer && a.Audience == b.Audience &&
		a.Role == b.Role && a.Repositories == b.Repositories && maps.Equal(a.Claims, b.Claims)
}

func shownTrust(row meta.Trust) Trust {
	return Trust{
		ID: row.ID, Name: row.Name, Namespace: namespaceText(row.NamespaceID, row.Namespace), Issuer: row.Issuer, Audience: row.Audience,
		Claims: row.Claims, Role: row.Role, Repositories: row.Repositories, Created: row.Created,
	}
}

// checkIssuer accepts an https URL as OpenID Connect Discovery 1.0, section 2
// wants it, and http for an issuer on this machine.
func checkIssuer(op, issuer string) error {
	u, err := url.Parse(issuer)
	ok := err == nil && len(issuer) <= maxIssuer && u.Host != "" && u.User == nil && u.RawQuery == "" && !u.ForceQuery && u.Fragment == "" &&
		printable(issuer) && !strings.ContainsAny(issuer, " #")
	if ok && (u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname())) {
		return nil
	}
	return registry.E(op, registry.ParameterInvalid, nil, "the issuer %q is not a URL like https://token.actions.githubusercontent.com", clip(issuer))
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// checkClaims wants at least one claim that says something: an issuer alone
// vouches for everybody's jobs.
func checkClaims(op string, claims map[string]string) error {
	if len(claims) > maxClaims {
		return registry.E(op, registry.ParameterInvalid, nil, "the trust rule names %d claims, the limit is %d", len(claims), maxClaims)
	}
	says := false
	for name, value := range claims {
		if name == "" || value == "" || len(name) > maxClaim || len(value) > maxClaim || !printable(name) || !printable(value) {
			return registry.E(op, registry.ParameterInvalid, nil, "the claim %q and its value must be 1 to %d bytes of text without control characters", clip(name), maxClaim)
		}
		says = says || strings.Trim(value, "*/:") != ""
	}
	if !says {
		return registry.E(op, registry.ParameterInvalid, nil, "the trust rule must name a claim that tells your jobs from others' of the same issuer, such as repository_id")
	}
	return nil
}

// Trusts lists up to limit trust rules by name, after the given one, of a
// namespace ([Root] for the root) or, for "", of all that the caller may
// administer. It returns NAME_UNKNOWN, and what the gate says.
func (s *Service) Trusts(ctx context.Context, ns, after string, limit int) ([]Trust, error) {
	const op = "auth.Trusts"
	var row int64
	if ns != "" {
		if err := s.administer(ctx, op, ns); err != nil {
			return nil, err
		}
		n, err := namespace(ctx, s.meta, op, ns)
		if err != nil {
			return nil, wrap(op, err)
		}
		row = n.ID
	}
	sees, err := s.seesNamespaces(ctx, op, ns)
	if err != nil {
		return nil, err
	}
	var list []Trust
	for most := page(limit); len(list) < most; {
		rows, err := s.meta.Trusts(ctx, row, after, most)
		if err != nil {
			return nil, wrap(op, err)
		}
		for _, t := range rows {
			after = t.Name
			if len(list) < most && sees(namespaceText(t.NamespaceID, t.Namespace)) {
				list = append(list, shownTrust(t))
			}
		}
		if len(rows) < most {
			break
		}
	}
	return list, nil
}

// RemoveTrust removes a trust rule, and with it the tokens that were had for
// it. It returns NAME_UNKNOWN, and what the gate says of its namespace.
func (s *Service) RemoveTrust(ctx context.Context, name string) error {
	const op = "auth.RemoveTrust"
	row, err := s.trust(ctx, op, name)
	if err != nil {
		return err
	}
	return s.change(ctx, op, restricting, func(ctx context.Context, tx *meta.Tx) error {
		now, err := tx.Trust(ctx, name)
		if errors.Is(err, meta.ErrNotFound) || err == nil && (now.ID != row.ID || !sameTrust(now, row)) {
			return registry.E(op, registry.NameUnknown, nil, "there is no trust rule %q", name)
		}
		if err != nil {
			return err
		}
		if err := tx.RemoveTrust(ctx, row.ID); err != nil {
			return err
		}
		return recordTrust(ctx, tx, "trust.remove", row)
	})
}

// trust finds a trust rule that the caller may administer.
func (s *Service) trust(ctx context.Context, op, name string) (meta.Trust, error) {
	row, err := s.meta.Trust(ctx, name)
	if errors.Is(err, meta.ErrNotFound) {
		return row, s.unknown(ctx, op, "trust rule %q", clip(name))
	}
	if err != nil {
		return row, wrap(op, err)
	}
	return row, s.administerRow(ctx, op, namespaceText(row.NamespaceID, row.Namespace), "trust rule %q", name)
}
