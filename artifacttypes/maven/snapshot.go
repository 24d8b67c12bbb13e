package maven

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// buildsOf returns the complete builds of a snapshot, nil if there are none.
func buildsOf(ctx context.Context, v artifacttypes.View, pkg, base string) (*snapshotBuilds, error) {
	document, err := v.Bytes(ctx, pkg, documentSnapshots)
	if absent(err) || err == nil && len(document) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all snapshots
	if err := json.Unmarshal(document, &all); err != nil {
		return nil, err
	}
	return all[base], nil
}

// newestWith is the newest build of snapshot c with a file of that suffix:
// among the complete ones, or while there is none yet, the one that is
// arriving. It is "" for none.
func newestWith(ctx context.Context, v artifacttypes.View, c coords, suffix string) (string, error) {
	builds, err := buildsOf(ctx, v, c.pkg(), c.Version)
	if err != nil || builds != nil {
		if builds == nil {
			return "", err
		}
		return builds.Files[suffix], nil
	}
	live, _, err := newestBuild(ctx, v, c.pkg(), c.Version)
	if err != nil || live == (build{}) {
		return "", err
	}
	return live.version(), nil
}

// newestBuild returns the newest build of a snapshot, complete or not, and the
// newest that ever was, withdrawn ones included. Zero stands for none.
func newestBuild(ctx context.Context, v artifacttypes.View, pkg, base string) (live, ever build, err error) {
	versions, err := v.Versions(ctx, pkg)
	if err != nil && !absent(err) {
		return build{}, build{}, err
	}
	for _, version := range versions {
		b, ok := parseBuild(version.Version)
		if !ok || b.Base != base {
			continue
		}
		if b.compare(ever) > 0 {
			ever = b
		}
		if version.Withdrawn.IsZero() && b.compare(live) > 0 {
			live = b
		}
	}
	return live, ever, nil
}

// labelsOf are the labels that build b takes over when its POM arrives: its
// snapshot's, unless a newer build has it.
func labelsOf(ctx context.Context, v artifacttypes.View, pkg string, b build) ([]string, error) {
	if _, err := registry.ParseTag(b.Base); err != nil {
		return nil, nil //nolint:nilerr // a version that no tag can spell has none
	}
	builds, err := buildsOf(ctx, v, pkg, b.Base)
	if err != nil {
		return nil, err
	}
	if builds != nil {
		if newest, _ := parseBuild(builds.Builds[0]); newest.compare(b) > 0 {
			return nil, nil
		}
	}
	return []string{b.Base}, nil
}

const maxTidied = 100 // builds that one publication withdraws

// tidy follows the publication of build b: builds beyond the setting's number
// are withdrawn, and the label is set again if a newer build was published
// meanwhile. The publication stands whatever becomes of it.
func tidy(ctx context.Context, v artifacttypes.View, pkg string, b build) {
	builds, err := buildsOf(ctx, v, pkg, b.Base)
	if err != nil || builds == nil {
		if err != nil {
			v.Log().WarnContext(ctx, "snapshots not cleaned up", "package", pkg, "error", err)
		}
		return
	}
	var ops []registry.Op
	if newest := builds.Builds[0]; newest != b.version() {
		if _, err := registry.ParseTag(b.Base); err == nil {
			ops = append(ops, registry.SetLabel{Label: b.Base, Version: newest})
		}
	}
	keep, err := strconv.Atoi(v.Setting(settingKeep))
	if err == nil && keep > 0 && len(builds.Builds) > keep {
		for _, old := range builds.Builds[keep:min(len(builds.Builds), keep+maxTidied)] {
			ops = append(ops, registry.WithdrawVersion{Version: old, Reason: "newer builds of " + b.Base, Retention: true})
		}
	}
	if len(ops) == 0 {
		return
	}
	if err := v.Change(ctx, pkg, ops...); err != nil {
		v.Log().WarnContext(ctx, "snapshots not cleaned up", "package", pkg, "error", err)
	}
}
