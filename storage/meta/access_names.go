package meta

import (
	"context"
	"errors"

	"github.com/packhouse/packhouse/registry"
)

// What visibility columns hold besides "": as above it.
const (
	Public  = "public"
	Private = "private"
)

// reincarnate makes a deleted namespace a new one of the same name: nothing
// that was granted, trusted or set in the old one holds in it.
func (t *Tx) reincarnate(ctx context.Context, id int64) error {
	if _, err := t.exec(ctx, `UPDATE namespaces SET deleted_at = NULL, created_at = ?, incarnation = incarnation + 1, visibility = '', first_push = '' WHERE id = ?`, millis(t.now), id); err != nil {
		return err
	}
	for _, statement := range []string{
		`DELETE FROM grants WHERE namespace_id = ?`,
		`DELETE FROM trusts WHERE namespace_id = ?`,
		`UPDATE feeds SET visibility = '' WHERE namespace_id = ?`,
		`UPDATE repositories SET visibility = '' WHERE namespace_id = ?`, // those in the trash: they could be restored into the new one
	} {
		if _, err := t.exec(ctx, statement, id); err != nil {
			return err
		}
	}
	return t.TouchAccess(ctx)
}

// CreateNamespace makes a namespace, a new incarnation if the name was used
// before; false if there is one.
func (t *Tx) CreateNamespace(ctx context.Context, name string) (Namespace, bool, error) {
	n, err := t.Namespace(ctx, name)
	if !errors.Is(err, ErrNotFound) {
		return n, false, err
	}
	if _, err := t.ensureNamespace(ctx, name); err != nil {
		return Namespace{}, false, err
	}
	n, err = t.Namespace(ctx, name)
	return n, true, err
}

// FirstPushAdmin is the first_push of a namespace in which only administrators
// make repositories.
const FirstPushAdmin = "admin"

// The kinds of thing that have a visibility.
const (
	OfRepository = "repository"
	OfFeed       = "feed"
	OfNamespace  = "namespace"
)

// SetVisibility sets who sees the live repository, feed or namespace of a name
// ([OfRepository] …); for "", whichever of them has that name, in this order.
// It returns what it set, or ErrNotFound.
func (t *Tx) SetVisibility(ctx context.Context, what string, name registry.Repo, visibility string) (string, error) {
	err := ErrNotFound
	for _, kind := range []struct{ what, statement string }{
		{OfRepository, `UPDATE repositories SET visibility = ? WHERE name = ? AND deleted_at IS NULL`},
		{OfFeed, `UPDATE feeds SET visibility = ? WHERE id = (SELECT f.id FROM feeds f JOIN namespaces n ON n.id = f.namespace_id
			WHERE n.name || '/' || f.format = ? AND n.deleted_at IS NULL)`},
		{OfNamespace, `UPDATE namespaces SET visibility = ? WHERE name = ? AND deleted_at IS NULL`},
	} {
		if what != "" && what != kind.what {
			continue
		}
		if err = t.must(ctx, kind.statement, visibility, string(name)); !errors.Is(err, ErrNotFound) {
			return kind.what, err
		}
	}
	return "", err
}

// SetFirstPush says who makes repositories of a live namespace by pushing: ""
// for who may create, admin for administrators alone. It returns ErrNotFound.
func (t *Tx) SetFirstPush(ctx context.Context, namespace, who string) error {
	return t.must(ctx, `UPDATE namespaces SET first_push = ? WHERE name = ? AND deleted_at IS NULL`, who, namespace)
}

// NamespaceOf finds the live namespace that a repository of this name is in, or
// would be. It returns ErrNotFound.
func (q queries) NamespaceOf(ctx context.Context, name registry.Repo) (Namespace, error) {
	id, err := q.liveNamespace(ctx, string(name))
	if err != nil {
		return Namespace{}, err
	}
	return first(q.namespaces(ctx, `WHERE n.id = ?`, id))
}

// FirstPush is that setting of the namespace that a new repository of this
// name would be in; "" if there is none yet.
func (q queries) FirstPush(ctx context.Context, name registry.Repo) (string, error) {
	id, err := q.liveNamespace(ctx, string(name))
	if err != nil || id == 0 {
		return "", err
	}
	var who string
	err = q.one(ctx, `SELECT first_push FROM namespaces WHERE id = ?`, []any{id}, &who)
	return who, err
}
