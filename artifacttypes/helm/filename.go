package helm

import (
	"bytes"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/packhouse/packhouse/registry"
)

const (
	chartSuffix = ".tgz"
	provSuffix  = ".prov"
)

// fileName is what Helm calls the archive of a version.
func fileName(name, version string) string { return name + "-" + version + chartSuffix }

// place is a chart's version that a file's name may be of.
type place struct{ name, version string }

// splits lists what an archive's file name may be of, the most likely first:
// "my-app-1.2.3-rc-1.tgz" is my-app 1.2.3-rc-1, but may be my-app-1.2.3-rc 1.
// Full versions come first, and among those the longest.
func splits(file string) (list []place) {
	const most = 20
	stem, ok := strings.CutSuffix(file, chartSuffix)
	if !ok {
		return nil
	}
	var loose []place
	for i := 1; i < len(stem)-1 && len(list)+len(loose) < most; i++ {
		if stem[i] != '-' {
			continue
		}
		p := place{stem[:i], stem[i+1:]}
		if _, err := semver.StrictNewVersion(p.version); err == nil {
			list = append(list, p)
		} else if checkVersion(p.version) == nil {
			loose = append(loose, p)
		}
	}
	return append(list, loose...)
}

// archiveOf finds a release's archive.
func archiveOf(r *registry.Release) (registry.File, bool) { return fileOf(r, `{"chart"`) }

func provenanceOf(r *registry.Release) (registry.File, bool) { return fileOf(r, `{"provenance"`) }

// fileOf finds a file by how its facts begin, see [fileFacts]: they may be long.
func fileOf(r *registry.Release, prefix string) (registry.File, bool) {
	for _, f := range r.Files {
		if bytes.HasPrefix(f.Facts.Native, []byte(prefix)) {
			return f, true
		}
	}
	return registry.File{}, false
}
