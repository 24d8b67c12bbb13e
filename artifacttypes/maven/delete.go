package maven

import (
	"context"
	"net/http"
	"strings"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// remove withdraws a version: by its directory, or by its POM or main file.
// Of a snapshot's directory, all builds. A version does not lose single files.
func remove(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	p, err := parsePath(r.PathValue("path"))
	if err != nil {
		return err
	}
	c := p.coords
	switch {
	case p.file == "" && len(p.dir) >= 3:
		n := len(p.dir)
		c = coords{strings.Join(p.dir[:n-2], "."), p.dir[n-2], p.dir[n-1]}
	case p.file == "":
		return refuseDelete("only versions can be withdrawn: DELETE GROUP/ARTIFACT/VERSION/")
	case p.suffix == "" || len(p.sums) > 0:
		return refuseDelete("%s is computed from what is stored", p.file)
	case isSide(p.suffix) || isSnapshot(c.Version):
		return refuseDelete("a version does not lose single files: DELETE its directory, %s/", strings.Join(p.dir, "/"))
	}
	if err := v.Account().Allow(r.Context(), registry.Withdraw, c.pkg()); err != nil {
		return err
	}
	if p.file != "" {
		if _, err := find(r.Context(), v, p); err != nil {
			return err
		}
	}
	versions := []string{c.Version}
	if isSnapshot(c.Version) {
		if versions, err = liveBuilds(r.Context(), v, c); err != nil {
			return err
		}
	} else if _, err := v.Release(r.Context(), c.pkg(), c.Version); absent(err) {
		versions = nil
	} else if err != nil {
		return err
	}
	if len(versions) == 0 {
		return notFound(p)
	}
	ops := make([]registry.Op, len(versions))
	for i, version := range versions {
		ops[i] = registry.WithdrawVersion{Version: version}
	}
	if err := v.Change(r.Context(), c.pkg(), ops...); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func refuseDelete(format string, a ...any) error {
	return registry.E("maven.delete", registry.Unsupported, nil, format, a...).
		WithDetail(artifacttypes.Methods{http.MethodGet, http.MethodHead, http.MethodPut})
}

// isSide tells whether a file goes with the main one: a classifier's, a
// signature, Gradle's metadata.
func isSide(suffix string) bool {
	classifier, extension := splitSuffix(suffix)
	return classifier != "" || extension == "module" || strings.HasSuffix(extension, ".asc") || strings.Contains(extension, ".sigstore")
}

// liveBuilds lists the builds of snapshot c, complete or not.
func liveBuilds(ctx context.Context, v artifacttypes.View, c coords) ([]string, error) {
	versions, err := v.Versions(ctx, c.pkg())
	if err != nil && !absent(err) {
		return nil, err
	}
	var list []string
	for _, version := range versions {
		if b, ok := parseBuild(version.Version); ok && b.Base == c.Version && version.Withdrawn.IsZero() {
			list = append(list, version.Version)
		}
	}
	return list, nil
}
