package auth

import (
	"context"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// Explain tells why somebody may or may not do v to r: user:NAME, service:NAME,
// workload:NAME, anonymous, or "" for who asks. One's own rights explain who
// may read r; others', who may administer it. It returns PARAMETER_INVALID,
// NAME_UNKNOWN for somebody who is not there, and what the gate says.
func (s *Service) Explain(ctx context.Context, subject string, v registry.Verb, r registry.Repo) (Explanation, error) {
	const op = "auth.Explain"
	id, unknown := s.subject(op, identityOf(ctx), subject)
	least := registry.Admin
	if own := identityOf(ctx); unknown == nil && own != nil && own.Kind == id.Kind && own.ID == id.ID {
		id, least = own, registry.Read
	}
	// Whether somebody is there is told to who may know that, too.
	if err := s.gate.Can(ctx, least, r); err != nil && (least == registry.Admin || r != "") {
		return Explanation{}, err
	}
	if unknown != nil {
		return Explanation{}, unknown
	}
	return s.Policy().Explain(id, v, r), nil
}

func (s *Service) subject(op string, by *Identity, text string) (*Identity, error) {
	if text == "" {
		if by == nil {
			return &Identity{Kind: Anonymous}, nil
		}
		return by, nil
	}
	kind, name, err := parseSubject(op, text)
	if err != nil {
		return nil, err
	}
	p := s.Policy()
	switch kind {
	case Anonymous.String():
		return &Identity{Kind: Anonymous}, nil
	case meta.KindUser, meta.KindService:
		if row, ok := p.PrincipalNamed(kind, name); ok {
			return &Identity{Kind: kindOf(kind), Name: name, ID: row.ID}, nil
		}
	case Workload.String():
		if row, ok := p.TrustNamed(name); ok {
			return &Identity{Kind: Workload, Name: name, ID: row.ID}, nil
		}
	default:
		return nil, registry.E(op, registry.ParameterInvalid, nil, "%q does nothing itself: ask about one of its members", text)
	}
	return nil, registry.E(op, registry.NameUnknown, nil, "there is no %s %q", kindText(kind), name)
}
