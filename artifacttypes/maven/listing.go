package maven

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/packhouse/packhouse/artifacttypes"
)

const (
	maxListed = 10_000 // entries of one directory
	maxBuilds = 100    // builds whose files are listed
)

// listed is one entry of a directory.
type listed struct {
	Name      string     `json:"name"` // a directory's ends in "/"
	Size      int64      `json:"size,omitempty"`
	Modified  *time.Time `json:"modified,omitempty"`
	SHA256    string     `json:"sha256,omitempty"`
	generated bool
}

// list answers for a directory: of groups and artifacts, of versions, or of
// files. One path may be several of these.
func list(w http.ResponseWriter, r *http.Request, v artifacttypes.View, p place) error {
	ctx, n := r.Context(), len(p.dir)
	var entries []listed
	if n >= 3 {
		c := coords{strings.Join(p.dir[:n-2], "."), p.dir[n-2], p.dir[n-1]}
		files, err := listVersion(ctx, v, c)
		if err != nil {
			return err
		}
		entries = append(entries, files...)
	}
	if n >= 2 {
		versions, err := listArtifact(ctx, v, strings.Join(p.dir[:n-1], ".")+":"+p.dir[n-1])
		if err != nil {
			return err
		}
		entries = append(entries, versions...)
	}
	children, err := listGroup(ctx, v, strings.Join(p.dir, "."))
	if err != nil {
		return err
	}
	entries = append(entries, children...)
	if len(entries) == 0 && n > 0 {
		return notFound(p)
	}
	if body, err := metadata(ctx, v, p.dir); err == nil && len(body) > 0 {
		entries = append(entries, listed{Name: metadataFile, Size: int64(len(body)), generated: true})
	}
	slices.SortFunc(entries, compareListed)
	entries = slices.CompactFunc(entries, func(a, b listed) bool { return a.Name == b.Name })
	return writeListing(w, r, v.URL(), p.dir, entries)
}

// compareListed orders directories before files, versions as Maven does.
func compareListed(a, b listed) int {
	aName, aDir := strings.CutSuffix(a.Name, "/")
	bName, bDir := strings.CutSuffix(b.Name, "/")
	switch {
	case aDir && !bDir:
		return -1
	case bDir && !aDir:
		return 1
	case aDir && isDigit(aName[0]) && isDigit(bName[0]):
		return compareVersions(aName, bName)
	}
	return strings.Compare(aName, bName)
}

func listVersion(ctx context.Context, v artifacttypes.View, c coords) ([]listed, error) {
	versions := []string{c.Version}
	if isSnapshot(c.Version) {
		var err error
		if versions, err = liveBuilds(ctx, v, c); err != nil {
			return nil, err
		}
		versions = versions[max(0, len(versions)-maxBuilds):]
	}
	var entries []listed
	for _, version := range versions {
		release, err := v.Release(ctx, c.pkg(), version)
		if absent(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		files, err := filesOf(release)
		if err != nil {
			return nil, err
		}
		for i, f := range files.Files {
			added := f.Added
			entries = append(entries, listed{Name: files.names[i], Size: f.Size, Modified: &added, SHA256: f.Facts.Sums["sha256"]})
		}
		if text := files.embedded(); text != nil {
			entries = append(entries, listed{Name: files.stem() + ".pom", Size: int64(len(text)), SHA256: digestOf("sha256", text)})
		}
	}
	return entries, nil
}

func listArtifact(ctx context.Context, v artifacttypes.View, pkg string) ([]listed, error) {
	versions, err := v.Versions(ctx, pkg)
	if err != nil && !absent(err) {
		return nil, err
	}
	var entries []listed
	seen := map[string]bool{}
	for _, version := range versions {
		base := baseVersion(version.Version)
		if !version.Withdrawn.IsZero() || seen[base] || len(entries) == maxListed {
			continue
		}
		seen[base] = true
		published := version.Published
		entries = append(entries, listed{Name: base + "/", Modified: &published})
	}
	return entries, nil
}

// listGroup lists what lies directly below a group, "" for the root: parts of
// group ids, and artifacts. What lies deeper is skipped by asking for what
// follows it.
func listGroup(ctx context.Context, v artifacttypes.View, group string) ([]listed, error) {
	const last = "~" // follows every character of a name
	seen := map[string]bool{}
	var entries []listed
	after, more := group, true
	for more && len(entries) < maxListed {
		more = false
		for name, err := range v.Packages(ctx, after) {
			if absent(err) {
				return nil, nil
			}
			if err != nil {
				return nil, err
			}
			rest, ok := strings.CutPrefix(name, group)
			if !ok {
				break
			}
			after, more = name, true
			child := rest
			if group != "" {
				switch rest[0] {
				case ':':
					entries = append(entries, listed{Name: rest[1:] + "/"})
					continue
				case '.':
					child = rest[1:]
				default: // a longer name of the same beginning
					continue
				}
			}
			end := strings.IndexAny(child, ".:")
			if !seen[child[:end]] {
				seen[child[:end]] = true
				entries = append(entries, listed{Name: child[:end] + "/"})
			}
			after = name[:len(name)-len(child)+end+1] + last
			break
		}
	}
	return entries, nil
}
