package auth

import (
	"cmp"
	"context"
	"errors"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

func checkVisibility(op, visibility string) error {
	switch visibility {
	case "", meta.Public, meta.Private:
		return nil
	}
	return registry.E(op, registry.ParameterInvalid, nil, "the visibility is %q: use public, private, or nothing for that of what is above it", clip(visibility))
}

// SetVisibility sets whether everybody sees a namespace, a feed or a
// repository: public, private, or "" for as what is above it. what is
// "namespace", "feed" or "repository", or "" for whichever of them has the
// name, the repository first; name is "" for the root namespace. It returns
// what it set, or PARAMETER_INVALID, NAME_UNKNOWN, and what the gate says: it
// takes the role admin on the repository, or on all of the rest.
func (s *Service) SetVisibility(ctx context.Context, what string, name registry.Repo, visibility string) (string, error) {
	const op = "auth.SetVisibility"
	if err := s.gate.Can(ctx, registry.Admin, name); err != nil {
		return "", err
	}
	if err := checkVisibility(op, visibility); err != nil {
		return "", err
	}
	switch what {
	case "", meta.OfRepository, meta.OfFeed, meta.OfNamespace:
	default:
		return "", registry.E(op, registry.ParameterInvalid, nil, "%q has no visibility: use namespace, feed or repository", clip(what))
	}
	ofAll := s.administer(asking(ctx), op, cmp.Or(string(name), Root))
	set := ""
	err := s.change(ctx, op, durable, func(ctx context.Context, tx *meta.Tx) (err error) {
		if name == "" {
			if _, err := namespaceOrRoot(ctx, tx, op, Root); err != nil {
				return err
			}
		}
		set, err = tx.SetVisibility(ctx, what, name, visibility)
		switch {
		case errors.Is(err, meta.ErrNotFound):
			return registry.E(op, registry.NameUnknown, nil, "there is no %s %s", cmp.Or(what, "namespace, feed or repository"), name)
		case err != nil:
			return err
		}
		a := meta.AuditRecord{Action: set + ".visibility", Detail: map[string]string{"name": string(name), "visibility": cmp.Or(visibility, "inherited")}}
		if set == meta.OfRepository {
			r, err := tx.Repository(ctx, name)
			if err != nil {
				return err
			}
			a.Repo, a.RepoID, a.Namespace = r.Name, r.ID, r.Namespace
			return tx.Record(ctx, a)
		}
		if ofAll != nil {
			return ofAll
		}
		a.Namespace = string(name)
		if set == meta.OfFeed {
			n, err := tx.NamespaceOf(ctx, name)
			if err != nil {
				return err
			}
			a.Namespace = n.Name
		}
		return tx.Record(ctx, a)
	})
	return set, err
}
