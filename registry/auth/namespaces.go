package auth

import (
	"cmp"
	"context"
	"strings"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// CreateNamespace makes an empty namespace ([Root] for the root). It returns NAME_INVALID,
// PARAMETER_INVALID, CONFLICT if there is one, and what the gate says: it
// takes the role admin on all of it.
func (s *Service) CreateNamespace(ctx context.Context, name, visibility, firstPush string) (meta.Namespace, error) {
	const op = "auth.CreateNamespace"
	if err := s.administer(ctx, op, name); err != nil {
		return meta.Namespace{}, err
	}
	shown := name
	if name == Root {
		name = ""
	} else if _, err := registry.ParseRepo(name); err != nil {
		return meta.Namespace{}, registry.E(op, registry.NameInvalid, err, "%s", registry.Public(err).Message)
	}
	if top, _, _ := strings.Cut(name, "/"); top == "v2" || top == "token" || top == "api" {
		return meta.Namespace{}, registry.E(op, registry.NameInvalid, nil, "a namespace cannot be %s or below it: that is part of the registry's own addresses", top)
	}
	if err := cmp.Or(checkVisibility(op, visibility), checkFirstPush(op, firstPush)); err != nil {
		return meta.Namespace{}, err
	}
	var made meta.Namespace
	err := s.change(ctx, op, durable, func(ctx context.Context, tx *meta.Tx) error {
		_, created, err := tx.CreateNamespace(ctx, name)
		if err != nil {
			return err
		}
		if !created {
			return registry.E(op, registry.Conflict, nil, "there is a namespace %s already", shown)
		}
		if _, err := tx.SetVisibility(ctx, meta.OfNamespace, registry.Repo(name), visibility); err != nil {
			return err
		}
		if err := tx.SetFirstPush(ctx, name, firstPush); err != nil {
			return err
		}
		if made, err = tx.Namespace(ctx, name); err != nil {
			return err
		}
		return record(ctx, tx, "namespace.create", name, "namespace", shown, "visibility", visibility, "first_push", firstPush)
	})
	return made, err
}

func checkFirstPush(op, who string) error {
	if who == "" || who == meta.FirstPushAdmin {
		return nil
	}
	return registry.E(op, registry.ParameterInvalid, nil, "first_push is %q: use %s for administrators alone, or nothing for whoever may create", clip(who), meta.FirstPushAdmin)
}

// SetFirstPush says who makes repositories of a namespace ([Root] for the
// root) by pushing: admin for administrators alone, "" for whoever may create.
// It returns PARAMETER_INVALID, NAME_UNKNOWN, and what the gate says.
func (s *Service) SetFirstPush(ctx context.Context, text, who string) error {
	const op = "auth.SetFirstPush"
	if text == "" {
		text = Root
	}
	if err := s.administer(ctx, op, text); err != nil {
		return err
	}
	if err := checkFirstPush(op, who); err != nil {
		return err
	}
	return s.change(ctx, op, durable, func(ctx context.Context, tx *meta.Tx) error {
		n, err := namespaceOrRoot(ctx, tx, op, text)
		if err != nil {
			return err
		}
		if n.FirstPush == who {
			return errNothing
		}
		if err := tx.SetFirstPush(ctx, n.Name, who); err != nil {
			return err
		}
		return record(ctx, tx, "namespace.first-push", n.Name, "namespace", text, "first_push", who)
	})
}

// namespaceOrRoot finds a live namespace; the root is made by its first use.
func namespaceOrRoot(ctx context.Context, tx *meta.Tx, op, text string) (meta.Namespace, error) {
	if text == Root {
		n, _, err := tx.CreateNamespace(ctx, "")
		return n, err
	}
	return namespace(ctx, tx, op, text)
}
