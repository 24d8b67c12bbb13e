package npm

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// unpublishMissing withdraws the versions that are there but not in the
// document that a client sends back, and counts them.
func unpublishMissing(ctx context.Context, v artifacttypes.View, name, rev string, body object) (int, error) {
	keep, _ := fields(body.get("versions"))
	kept := make(map[string]bool, len(keep))
	for _, m := range keep {
		if version, err := canonical(m.Key); err == nil {
			kept[version] = true
		}
	}
	return unpublish(ctx, v, name, rev, func(version string) bool { return !kept[version] })
}

// unpublish withdraws the versions that which chooses, all or none, and counts them.
//
// The versions are listed before the revision is compared: one that somebody
// publishes meanwhile is either not in the list or shows in the revision.
func unpublish(ctx context.Context, v artifacttypes.View, name, rev string, which func(version string) bool) (int, error) {
	all, err := v.Versions(ctx, name)
	if err != nil {
		return 0, absent(name, err)
	}
	p, err := v.Package(ctx, name)
	if err != nil {
		return 0, absent(name, err)
	}
	if _, err := current(ctx, v, name, rev); err != nil {
		return 0, err
	}
	var gone, left []string
	for _, one := range all {
		switch {
		case !one.Withdrawn.IsZero():
		case which(one.Version):
			if err := mayUnpublish(v, name, one); err != nil {
				return 0, err
			}
			gone = append(gone, one.Version)
		default:
			left = append(left, one.Version)
		}
	}
	if len(gone) == 0 {
		return 0, nil
	}
	ops := relabel(p.Labels, gone, left)
	for _, version := range gone {
		ops = append(ops, registry.WithdrawVersion{Version: version, Reason: "unpublished"})
	}
	return len(gone), apply(ctx, v, name, ops...)
}

// mayUnpublish returns DENIED when the time for it is over.
func mayUnpublish(v artifacttypes.View, name string, one registry.Version) error {
	window := v.Setting(unpublishWindow)
	if window == "always" {
		return nil
	}
	d, err := time.ParseDuration(window)
	if d == 0 {
		return registry.E("npm.unpublish", registry.Denied, nil, "%s@%s cannot be unpublished, as this registry keeps all versions. Deprecate it instead", name, one.Version)
	}
	if err != nil || v.Now().Sub(one.Published) >= d {
		return registry.E("npm.unpublish", registry.Denied, nil,
			"%s@%s cannot be unpublished: this registry allows it for %s after the publication. Deprecate it instead", name, one.Version, window)
	}
	return nil
}

// relabel takes the dist-tags off versions that go. latest moves on to the
// highest version that is left.
func relabel(labels map[string]string, gone, left []string) []registry.Op {
	var ops []registry.Op
	for _, label := range sorted(labels) {
		switch {
		case !slices.Contains(gone, labels[label]):
		case label == "latest" && len(left) > 0:
			ops = append(ops, registry.SetLabel{Label: label, Version: highest(left)})
		default:
			ops = append(ops, registry.DropLabel{Label: label})
		}
	}
	return ops
}

// removePackage unpublishes all versions.
func removePackage(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	name, err := packageName(r)
	if err != nil {
		return notFound(err)
	}
	if err := v.Account().Allow(r.Context(), registry.Withdraw, name); err != nil {
		return err
	}
	if _, err := unpublish(r.Context(), v, name, r.PathValue("rev"), func(string) bool { return true }); err != nil {
		return err
	}
	return artifacttypes.WriteJSON(w, r, http.StatusOK, map[string]any{"ok": true, "id": name})
}

// removeTarball is the last request of unpublishing a version, which was done
// by the first.
func removeTarball(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	name, err := packageName(r)
	if err != nil {
		return notFound(err)
	}
	if err := v.Account().Allow(r.Context(), registry.Withdraw, name); err != nil {
		return err
	}
	version, ok := versionOf(name, r.PathValue("file"))
	if !ok {
		return registry.E("npm.removeTarball", registry.ManifestUnknown, nil, "%s has no file %q", name, clip(r.PathValue("file")))
	}
	_, err = v.Release(r.Context(), name, version)
	switch {
	case err == nil:
		return registry.E("npm.removeTarball", registry.Conflict, nil, "%s@%s is still published: unpublish the version, which removes its tarball, too", name, version)
	case errors.Is(err, registry.ManifestUnknown), errors.Is(err, registry.NameUnknown):
		return artifacttypes.WriteJSON(w, r, http.StatusOK, map[string]any{"ok": true})
	}
	return err
}
