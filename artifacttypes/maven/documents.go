package maven

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

const (
	documentMetadata  = "metadata"  // maven-metadata.xml of an artifact
	documentSnapshots = "snapshots" // the builds of all its snapshots, a [snapshots] as JSON
	documentPlugins   = "plugins"   // all plug-ins of the feed, a [pluginEntry] a line

	// A release has those fragments that say something of it.
	fragmentVersion = "version" // a byte: the version is all there is to say
	fragmentBuild   = "build"   // of a snapshot's build: the suffixes of its files, as JSON
	fragmentPlugin  = "plugin"  // a [plugin] as JSON
)

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
func (Format) Fragment(kind string, r *registry.Release, w *bytes.Buffer) error {
	switch kind {
	case fragmentBuild:
		if _, ok := parseBuild(r.Version); !ok {
			return nil
		}
		files, err := filesOf(r)
		if err != nil {
			return err
		}
		return writeJSON(w, files.suffixes())
	case fragmentPlugin:
		if p := nativeOf(r).Plugin; p != nil {
			return writeJSON(w, p)
		}
		return nil
	}
	return w.WriteByte('v')
}

func writeJSON(w io.Writer, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(body, '\n'))
	return err
}

// Compose implements [artifacttypes.Format].
func (Format) Compose(document string, p *registry.Package, from artifacttypes.Fragments, w io.Writer) error {
	group, artifact, err := splitPackage(p.Name)
	if err != nil {
		return err
	}
	switch document {
	case documentSnapshots:
		return composeSnapshots(from, w)
	case documentPlugins:
		return composePlugin(group, artifact, from, w)
	}
	return composeArtifact(group, artifact, from, w)
}

// composeSnapshots writes all builds of all snapshots.
func composeSnapshots(from artifacttypes.Fragments, w io.Writer) error {
	type entry struct {
		build
		files []string
	}
	builds := map[string][]entry{}
	for f, err := range from.All(fragmentBuild) {
		if err != nil {
			return err
		}
		e := entry{}
		if e.build, _ = parseBuild(f.Version); e.Base == "" {
			continue
		}
		if err := json.Unmarshal(f.Body, &e.files); err != nil {
			return err
		}
		builds[e.Base] = append(builds[e.Base], e)
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
	return writeJSON(w, all)
}

// composePlugin writes what the newest version says, if the package is a plug-in.
func composePlugin(group, artifact string, from artifacttypes.Fragments, w io.Writer) error {
	newest, body := "", []byte(nil)
	for f, err := range from.All(fragmentPlugin) {
		if err != nil {
			return err
		}
		if body == nil || compareVersions(f.Version, newest) > 0 {
			newest, body = f.Version, f.Body
		}
	}
	if body == nil {
		return nil
	}
	e := pluginEntry{Group: group, Artifact: artifact}
	if err := json.Unmarshal(body, &e.plugin); err != nil {
		return err
	}
	return writeJSON(w, e)
}
