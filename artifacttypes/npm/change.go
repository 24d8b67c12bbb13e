package npm

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

const (
	maxWhy         = 4096 // bytes of a deprecation
	maxMaintainers = 100
	maxStars       = 1000
)

// current is the packument as clients read it. A change that was made to an
// older one is refused: what came in between would be undone. "" is no revision.
func current(ctx context.Context, v artifacttypes.View, name, rev string) (object, error) {
	raw, err := v.Bytes(ctx, name, full)
	if err != nil {
		return nil, absent(name, err)
	}
	doc, _ := fields(raw)
	if now, _ := text(doc.get(revisionKey)); rev != "" && rev != now {
		return nil, registry.E("npm.current", registry.Conflict, nil, "%s was changed in the meantime: run the command again", name)
	}
	return doc, nil
}

// apply makes changes that clients see.
func apply(ctx context.Context, v artifacttypes.View, name string, ops ...registry.Op) error {
	return v.Change(ctx, name, append(ops, registry.SetState{Key: stateModified, Value: stamp(v.Now())})...)
}

// change takes from the document that a client sends back, which is a whole
// packument, what a client may change in it: the deprecations; or the stars,
// or the maintainers.
func change(ctx context.Context, v artifacttypes.View, name string, body object) error {
	rev, _ := text(body.get(revisionKey))
	doc, err := current(ctx, v, name, rev)
	if err != nil {
		return err
	}
	var ops []registry.Op
	switch {
	case body.get("versions") != nil:
		ops, err = deprecations(doc, body)
	case body.get("maintainers") != nil:
		ops, err = owners(body)
	case body.get("users") != nil:
		ops, err = star(v.Account().Name(ctx), doc, body)
	default:
		err = artifacttypes.Invalid("the request has neither a tarball nor versions, maintainers or users to change")
	}
	if err != nil || len(ops) == 0 {
		return err
	}
	return apply(ctx, v, name, ops...)
}

// deprecations are those that differ from what is there. The empty text takes
// a deprecation back; a version that says nothing of it stays as it is.
func deprecations(doc, body object) ([]registry.Op, error) {
	now := map[string]string{}
	there, _ := fields(doc.get("versions"))
	for _, m := range there {
		described, _ := fields(m.Value)
		now[m.Key], _ = text(described.get("deprecated"))
	}
	versions, _ := fields(body.get("versions"))
	var ops []registry.Op
	for _, m := range versions {
		described, _ := fields(m.Value)
		said := described.get("deprecated")
		if said == nil {
			continue
		}
		why, ok := text(said)
		if !ok && !empty(said) {
			return nil, artifacttypes.Invalid("the deprecation of version %s is not a text", clip(m.Key))
		}
		if len(why) > maxWhy {
			return nil, artifacttypes.Invalid("the deprecation of version %s is longer than %d bytes", clip(m.Key), maxWhy)
		}
		version, err := canonical(m.Key)
		if err != nil {
			return nil, err
		}
		if was, ok := now[version]; ok && was != why { // one that is not there was unpublished meanwhile
			ops = append(ops, registry.SetState{Version: version, Key: stateDeprecated, Value: why})
		}
	}
	return ops, nil
}

// owners are whom a package's documents name as maintainers. The names grant
// nothing.
func owners(body object) ([]registry.Op, error) {
	type person struct {
		Name  string `json:"name"`
		Email string `json:"email"`
	}
	var list []person
	if err := json.Unmarshal(body.get("maintainers"), &list); err != nil || len(list) == 0 || len(list) > maxMaintainers {
		return nil, artifacttypes.Invalid("want 1 to %d maintainers, each with a name and an email", maxMaintainers)
	}
	for _, one := range list {
		if one.Name == "" || len(one.Name) > maxName || len(one.Email) > maxName {
			return nil, artifacttypes.Invalid("a maintainer needs a name, of at most %d bytes", maxName)
		}
	}
	return []registry.Op{registry.SetState{Key: stateMaintainers, Value: string(encode(list))}}, nil
}

// star gives or takes back the caller's own star.
func star(caller string, doc, body object) ([]registry.Op, error) {
	caller = cmp.Or(caller, artifacttypes.Anonymous)
	users := map[string]bool{}
	if v := doc.get("users"); v != nil {
		if err := json.Unmarshal(v, &users); err != nil {
			return nil, err
		}
	}
	said, _ := fields(body.get("users"))
	if string(said.get(caller)) == "true" {
		users[caller] = true
	} else {
		delete(users, caller)
	}
	if len(users) > maxStars {
		return nil, artifacttypes.Invalid("the package has %d stars, and no place for more", maxStars)
	}
	value := ""
	if len(users) > 0 {
		value = string(encode(users))
	}
	return []registry.Op{registry.SetState{Key: stateUsers, Value: value}}, nil
}

// starAgain is what pnpm's star is: a whole document put back.
func starAgain(ctx context.Context, v artifacttypes.View, name string, body object) error {
	doc, err := current(ctx, v, name, "")
	if err != nil {
		return err
	}
	ops, err := star(v.Account().Name(ctx), doc, body)
	if err != nil {
		return err
	}
	return apply(ctx, v, name, ops...)
}

// putRevision answers the PUT of a document over a revision of it: without
// some of its versions to unpublish them, or with other maintainers.
func putRevision(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	name, err := packageName(r)
	if err != nil {
		return notFound(err)
	}
	if err := v.Account().Allow(r.Context(), registry.Create, name); err != nil {
		return err
	}
	b, err := receive(r.Context(), r.Body, v)
	if err != nil {
		return err
	}
	defer b.discard()
	if b.tarball != nil {
		return artifacttypes.Invalid("a tarball is published to the package's own URL, without -rev")
	}
	if b.get("versions") == nil {
		err = change(r.Context(), v, name, b.object)
	} else if n, e := unpublishMissing(r.Context(), v, name, r.PathValue("rev"), b.object); e != nil {
		err = e
	} else if n == 0 && b.get("users") != nil {
		err = starAgain(r.Context(), v, name, b.object)
	}
	if err != nil {
		return err
	}
	return changed(w, r, name)
}
