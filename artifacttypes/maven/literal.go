package maven

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// putLiteral stores a file under its snapshot's name, as clients do that do
// not number builds (sbt, uniqueVersion=false). To them the directory is one
// set of files that may be replaced: a file that is not there joins the newest
// build, and one that differs starts the next build, which takes the other
// files over.
func putLiteral(w http.ResponseWriter, r *http.Request, v artifacttypes.View, p place) error {
	staged, err := stage(r, v, p)
	if err != nil {
		return err
	}
	defer staged.Discard()
	const tries = 16 // each lost to another client that changed the same snapshot
	for range tries {
		var status int
		if status, err = publishLiteral(r.Context(), v, p, staged); !errors.Is(err, registry.VersionExists) {
			if err == nil {
				w.WriteHeader(status)
			}
			return err
		}
	}
	return registry.E("maven.put", registry.Conflict, err, "%s is changing too fast: send %s again", p.Version, p.file)
}

func publishLiteral(ctx context.Context, v artifacttypes.View, p place, staged artifacttypes.Staged) (status int, err error) {
	live, ever, err := newestBuild(ctx, v, p.pkg(), p.Version)
	if err != nil {
		return 0, err
	}
	d := artifacttypes.Draft{Package: p.pkg(), Version: live.version()}
	c := coords{Group: p.Group, Artifact: p.Artifact}
	if live == (build{}) {
		live = ever.next(p.Version, v.Now())
	} else {
		release, err := v.Release(ctx, d.Package, live.version())
		if err != nil {
			return 0, err
		}
		files, err := filesOf(release)
		if err != nil {
			return 0, err
		}
		if f, ok := files.file(files.stem() + p.suffix); ok {
			if f.Facts.Sums["sha256"] == staged.Sums()["sha256"] {
				return http.StatusOK, nil
			}
			live = ever.next(p.Version, v.Now())
			c.Version, d.New = live.version(), true
			carried, err := carry(ctx, v, files, c.stem(), p.suffix)
			defer discard(carried)
			if err != nil {
				return 0, err
			}
			d.Files = carried
		}
	}
	d.Version, c.Version = live.version(), live.version()
	d.Files = append(d.Files, draftFile(c.stem(), p.suffix, staged))
	if d.Labels, err = labelsOf(ctx, v, d.Package, live); err != nil {
		return 0, err
	}
	if _, err := v.Publish(ctx, d); err != nil {
		return 0, err
	}
	tidy(ctx, v, d.Package, live)
	return http.StatusCreated, nil
}

// carry stages all files of a build for the next one, but for the one that is
// replaced and what belongs to it, such as its signature. The caller discards
// them, also after an error.
func carry(ctx context.Context, v artifacttypes.View, files releaseFiles, stem, replaced string) ([]artifacttypes.DraftFile, error) {
	var list []artifacttypes.DraftFile
	for i, name := range files.names {
		suffix := strings.TrimPrefix(name, files.stem())
		if suffix == replaced || strings.HasPrefix(suffix, replaced+".") {
			continue
		}
		staged, err := v.Reuse(ctx, files.Release, files.Files[i])
		if err != nil {
			return list, err
		}
		list = append(list, draftFile(stem, suffix, staged))
	}
	return list, nil
}

func discard(files []artifacttypes.DraftFile) {
	for _, f := range files {
		f.Content.Discard()
	}
}
