package npm

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// put answers the PUT of a package: a publication if a tarball comes with it,
// else a change of what can change about a package.
func put(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	name, err := packageName(r)
	if err != nil {
		return err
	}
	if err := v.Account().Allow(r.Context(), registry.Create, name); err != nil {
		return err
	}
	b, err := receive(r.Context(), r.Body, v)
	if err != nil {
		return err
	}
	defer b.discard()
	if said, ok := text(b.get("name")); ok && said != name {
		return artifacttypes.Invalid("the URL says that the package is %q, but the request body says %q", name, clip(said))
	}
	if b.tarball == nil {
		err = change(r.Context(), v, name, b.object)
	} else {
		err = publish(r.Context(), v, name, b)
	}
	if err != nil {
		return err
	}
	return changed(w, r, name)
}

// changed answers a change that was made.
func changed(w http.ResponseWriter, r *http.Request, name string) error {
	return artifacttypes.WriteJSON(w, r, http.StatusCreated, map[string]any{"ok": true, "success": true, "id": name})
}

func publish(ctx context.Context, v artifacttypes.View, name string, b *received) error {
	version, described, err := b.version(name)
	if err != nil {
		return err
	}
	if err := b.verify(described); err != nil {
		return err
	}
	inTarball, err := packageOf(ctx, b.tarball, b.tarball.Descriptor().Size)
	if err != nil {
		return err
	}
	why, _ := text(described.get("deprecated"))
	request, err := normal("the publish request", described)
	if err != nil {
		return err
	}
	if err := agree(request, inTarball); err != nil {
		return err
	}
	d := artifacttypes.Draft{
		Package: name, Version: version, New: true,
		Files: []artifacttypes.DraftFile{{Name: tarballName(name, version), MediaType: tarballType, Content: b.tarball}},
		State: map[string]string{},
	}
	if why != "" {
		d.State[stateDeprecated] = why
	}
	if b.provenance != nil {
		ref, predicate, err := provenance(name, version, b.tarball.Sums()["sha512"], b.provenance)
		if err != nil {
			return err
		}
		d.Referrers = []artifacttypes.Referrer{ref}
		d.State[stateAttestations] = predicate
	}
	if d.Labels, err = b.labels(version); err != nil {
		return err
	}
	return commit(ctx, v, d, b.tarball.Descriptor().Digest)
}

// commit publishes d, whose tarball has the given digest. A version that is
// there with the same tarball stays as it is, and dist-tags that are there
// stay where they are: what is sent again after a lost answer must not move
// them back.
func commit(ctx context.Context, v artifacttypes.View, d artifacttypes.Draft, tarball registry.Digest) error {
	p, err := v.Package(ctx, d.Package)
	switch {
	case errors.Is(err, registry.NameUnknown):
		if oldName(d.Package) && v.Setting(oldNames) != "publish" {
			return registry.E("npm.publish", registry.NameInvalid, nil,
				"%q is not a name for a new package: want lower-case letters, digits, '-', '_' and '.'", d.Package)
		}
		d.Labels = withLatest(d.Labels)
	case err != nil:
		return err
	default:
		rel, err := v.Release(ctx, d.Package, d.Version)
		if err == nil && len(rel.Files) == 1 && rel.Files[0].Digest == tarball {
			return addLabels(ctx, v, p, d)
		}
		if err := fixLatest(ctx, v, p, d.Labels); err != nil {
			return err
		}
	}
	_, err = v.Publish(ctx, d)
	if errors.Is(err, registry.VersionExists) {
		why := ""
		if said, ok := registry.Public(err).Detail.(map[string]any); ok && said["withdrawn"] != nil {
			why = " It was unpublished: publish another version."
		}
		return registry.E("npm.publish", registry.VersionExists, err, "You cannot publish over the previously published versions: %s.%s", d.Version, why)
	}
	return err
}

func addLabels(ctx context.Context, v artifacttypes.View, p *registry.Package, d artifacttypes.Draft) error {
	var ops []registry.Op
	for _, l := range d.Labels {
		if _, there := p.Labels[l]; !there {
			ops = append(ops, registry.SetLabel{Label: l, Version: d.Version})
		}
	}
	if len(ops) == 0 {
		return nil
	}
	return apply(ctx, v, p.Name, ops...)
}

func withLatest(labels []string) []string {
	if slices.Contains(labels, "latest") {
		return labels
	}
	return append(labels, "latest")
}

// fixLatest makes the computed latest of a package without one a real one, as
// it must not move when a version is published under another dist-tag.
func fixLatest(ctx context.Context, v artifacttypes.View, p *registry.Package, labels []string) error {
	if len(withLatest(labels)) == len(labels) {
		return nil
	}
	there, err := present(ctx, v, p.Name)
	if err != nil {
		return err
	}
	latest := distTags(p.Labels, there)["latest"]
	if latest == "" || p.Labels["latest"] == latest {
		return nil
	}
	err = apply(ctx, v, p.Name, registry.SetLabel{Label: "latest", Version: latest})
	if errors.Is(err, registry.Denied) { // who may publish but not move dist-tags goes on without
		return nil
	}
	return err
}

// present are the versions that are listed.
func present(ctx context.Context, v artifacttypes.View, name string) ([]string, error) {
	all, err := v.Versions(ctx, name)
	if err != nil {
		return nil, err
	}
	versions := make([]string, 0, len(all))
	for _, one := range all {
		if one.Withdrawn.IsZero() && !one.Incomplete {
			versions = append(versions, one.Version)
		}
	}
	return versions, nil
}

// version finds which version the request publishes, and what it says of it.
func (b *received) version(name string) (string, object, error) {
	versions, _ := fields(b.get("versions"))
	var found []member
	for _, m := range versions {
		// Old clients send all versions that there are with the new one.
		if len(versions) == 1 || strings.HasSuffix(b.tarballName, baseName(name)+"-"+m.Key+".tgz") {
			found = append(found, m)
		}
	}
	if len(found) != 1 {
		return "", nil, artifacttypes.Invalid("the request has the tarball %q and %d versions, but not the one of it", clip(b.tarballName), len(versions))
	}
	version, err := canonical(found[0].Key)
	if err != nil {
		return "", nil, err
	}
	if err := checkJSON("the publish request", found[0].Value); err != nil {
		return "", nil, err
	}
	described, ok := fields(found[0].Value)
	if !ok {
		return "", nil, artifacttypes.Invalid("the publish request does not describe version %s", version)
	}
	return version, described, nil
}

// labels are the dist-tags that the request sets on version.
func (b *received) labels(version string) ([]string, error) {
	var labels []string
	tags := table(b.get("dist-tags"))
	for _, tag := range sorted(tags) {
		if c, err := canonical(tags[tag]); err != nil || c != version {
			continue
		}
		if err := checkLabel(tag); err != nil {
			return nil, err
		}
		labels = append(labels, tag)
	}
	return labels, nil
}
