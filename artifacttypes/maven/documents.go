package maven

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"time"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

const (
	fragment          = "release"
	documentMetadata  = "metadata"  // maven-metadata.xml of an artifact
	documentSnapshots = "snapshots" // the builds of all its snapshots, a [snapshots] as JSON
	documentPlugins   = "plugins"   // all plug-ins of the feed, a [pluginEntry] a line
)

// part is a release's fragment.
type part struct {
	Files  []string `json:"f,omitempty"` // of a snapshot's build: suffixes
	Plugin *plugin  `json:"p,omitempty"`
}

// snapshots are a package's snapshots by their versions.
type snapshots map[string]*snapshotBuilds

// snapshotBuilds are the builds of one snapshot.
type snapshotBuilds struct {
	Builds []string `json:"builds"` // the newest first
	// Files maps what follows the coordinates in a file's name to the newest
	// build that has such a file.
	Files map[string]string `json:"files"`
}

// pluginEntry is one plug-in of a feed.
type pluginEntry struct {
	Group    string `json:"group"`
	Artifact string `json:"artifact"`
	plugin
}

// Fragment implements [artifacttypes.Format].
func (Format) Fragment(_ string, r *registry.Release, w *bytes.Buffer) error {
	p := part{Plugin: nativeOf(r).Plugin}
	if _, ok := parseBuild(r.Version); ok {
		files, err := filesOf(r)
		if err != nil {
			return err
		}
		p.Files = files.suffixes()
	}
	body, err := json.Marshal(p)
	w.Write(body)
	return err
}

// Compose implements [artifacttypes.Format].
func (Format) Compose(document string, p *registry.Package, from artifacttypes.Fragments, w io.Writer) error {
	releases, err := collect(from)
	if err != nil || len(releases) == 0 {
		return err
	}
	group, artifact, err := splitPackage(p.Name)
	if err != nil {
		return err
	}
	switch document {
	case documentSnapshots:
		return json.NewEncoder(w).Encode(composeSnapshots(releases))
	case documentPlugins:
		return composePlugin(group, artifact, releases, w)
	}
	return composeArtifact(group, artifact, releases, w)
}

// composed is one release in a document.
type composed struct {
	version   string
	published time.Time
	part
}

func collect(from artifacttypes.Fragments) ([]composed, error) {
	var list []composed
	for f, err := range from.All(fragment) {
		if err != nil {
			return nil, err
		}
		c := composed{version: f.Version, published: f.Published}
		if len(f.Body) > len("{}") {
			if err := json.Unmarshal(f.Body, &c.part); err != nil {
				return nil, err
			}
		}
		list = append(list, c)
	}
	return list, nil
}

func composeSnapshots(releases []composed) snapshots {
	type entry struct {
		build
		files []string
	}
	builds := map[string][]entry{}
	for _, r := range releases {
		if b, ok := parseBuild(r.version); ok {
			builds[b.Base] = append(builds[b.Base], entry{b, r.Files})
		}
	}
	all := snapshots{}
	for base, list := range builds {
		slices.SortFunc(list, func(a, b entry) int { return b.compare(a.build) })
		s := &snapshotBuilds{Files: map[string]string{}}
		for _, e := range list {
			s.Builds = append(s.Builds, e.version())
			for _, suffix := range e.files {
				if s.Files[suffix] == "" {
					s.Files[suffix] = e.version()
				}
			}
		}
		all[base] = s
	}
	return all
}

// composePlugin writes the newest version's prefix, if the package is a plug-in.
func composePlugin(group, artifact string, releases []composed, w io.Writer) error {
	var newest *composed
	for i := range releases {
		if r := &releases[i]; r.Plugin != nil && (newest == nil || compareVersions(r.version, newest.version) > 0) {
			newest = r
		}
	}
	if newest == nil {
		return nil
	}
	return json.NewEncoder(w).Encode(pluginEntry{group, artifact, *newest.Plugin})
}
