package npm

import (
	"context"
	"encoding/json"
	"io"
	"net/http"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// maxSmall bounds the bodies of requests that say little.
const maxSmall = 1 << 20

// smallJSON reads a small body into v. It returns MANIFEST_INVALID, TOO_LARGE.
func smallJSON(r *http.Request, v any) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxSmall+1))
	if err != nil {
		return err
	}
	if len(body) > maxSmall {
		return registry.E("npm.smallJSON", registry.TooLarge, nil, "the request body is larger than %d MiB", maxSmall>>20)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return artifacttypes.Invalid("the request body is not the JSON that belongs here")
	}
	return nil
}

// tagsOf are a package's dist-tags.
func tagsOf(ctx context.Context, v artifacttypes.View, name string) (map[string]string, error) {
	p, err := v.Package(ctx, name)
	if err != nil {
		return nil, absent(name, err)
	}
	versions, err := present(ctx, v, name)
	if err != nil {
		return nil, err
	}
	return distTags(p.Labels, versions), nil
}

func listTags(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	name, err := packageName(r)
	if err != nil {
		return notFound(err)
	}
	tags, err := tagsOf(r.Context(), v, name)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-cache")
	return artifacttypes.WriteJSON(w, r, http.StatusOK, tags)
}

func setTag(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	name, err := packageName(r)
	if err != nil {
		return notFound(err)
	}
	if err := v.Account().Allow(r.Context(), registry.Label, name); err != nil {
		return err
	}
	var body string
	if err := smallJSON(r, &body); err != nil {
		return err
	}
	tag := r.PathValue("tag")
	if err := checkLabel(tag); err != nil {
		return err
	}
	if _, err := canonical(body); err != nil {
		return err
	}
	rel, err := release(r.Context(), v, name, body)
	if err != nil {
		return err
	}
	if err := apply(r.Context(), v, name, registry.SetLabel{Label: tag, Version: rel.Version}); err != nil {
		return err
	}
	return artifacttypes.WriteJSON(w, r, http.StatusCreated, map[string]any{"ok": true, "id": name})
}

func dropTag(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	name, err := packageName(r)
	if err != nil {
		return notFound(err)
	}
	if err := v.Account().Allow(r.Context(), registry.Label, name); err != nil {
		return err
	}
	tag := r.PathValue("tag")
	if tag == "latest" {
		return artifacttypes.Invalid("the dist-tag latest cannot be removed: point it to another version")
	}
	p, err := v.Package(r.Context(), name)
	if err != nil {
		return absent(name, err)
	}
	if p.Labels[tag] == "" {
		return registry.E("npm.dropTag", registry.ManifestUnknown, nil, "%s has no dist-tag %q", name, clip(tag))
	}
	if err := apply(r.Context(), v, name, registry.DropLabel{Label: tag}); err != nil {
		return err
	}
	return artifacttypes.WriteJSON(w, r, http.StatusOK, map[string]any{"ok": true, "id": name})
}
