package maven

import (
	"strings"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// fileNames gives each file of a release its name in the repository. Titles
// are those names; but an OCI client may push a "pom.xml", a path, or the main
// file under any name. pom is the index of the POM, -1 for none. It returns
// MANIFEST_INVALID.
func fileNames(files []registry.File, c coords, pom int) ([]string, error) {
	names := make([]string, len(files))
	odd, main := -1, false
	for i, f := range files {
		title := fileName(f.Name)
		if base, sums := cutSums(title); len(sums) > 0 {
			return nil, artifacttypes.Invalid("%s need not be pushed: checksums are computed from %s", clip(title), clip(base))
		}
		suffix, ok := strings.CutPrefix(title, c.stem())
		switch ok = ok && isSuffix(suffix); {
		case i == pom:
			names[i] = c.stem() + ".pom"
		case ok:
			names[i] = title
			main = main || !isSide(suffix)
		case odd >= 0:
			return nil, strange(title, c)
		default:
			odd = i
		}
	}
	if odd >= 0 {
		title := fileName(files[odd].Name)
		extension := extensionOf(title, files[odd])
		version, ofArtifact := strings.CutPrefix(title, c.Artifact+"-")
		if main || extension == "" || ofArtifact && version != "" && isDigit(version[0]) { // of another version
			return nil, strange(title, c)
		}
		names[odd] = c.stem() + "." + extension
	}
	used := make(map[string]bool, len(files))
	for _, name := range names {
		if used[name] {
			return nil, artifacttypes.Invalid("two files of the manifest are %s", name)
		}
		used[name] = true
	}
	return names, nil
}

func strange(title string, c coords) error {
	return artifacttypes.Invalid("%q is no name of a file of %s:%s: want %s.EXT or %s-CLASSIFIER.EXT", clip(title), c.pkg(), c.Version, c.stem(), c.stem())
}

func extensionOf(title string, f registry.File) string {
	if _, extension := splitSuffix(title); extension != "" && extension != title {
		return extension
	}
	if facts, err := factsOf(f); err == nil && facts.Jar != nil {
		return "jar"
	}
	return ""
}

// releaseFiles are the files of a release by their names in the repository.
type releaseFiles struct {
	coords
	*registry.Release
	names []string
}

// filesOf names the files of a stored release. Its manifest was described
// before, so every file has a name.
func filesOf(r *registry.Release) (releaseFiles, error) {
	group, artifact, err := splitPackage(r.Package)
	if err != nil {
		return releaseFiles{}, err
	}
	f := releaseFiles{coords: coords{group, artifact, r.Version}, Release: r, names: make([]string, len(r.Files))}
	for i, file := range r.Files {
		suffix, ok := strings.CutPrefix(file.Name, f.stem())
		if !ok || !isSuffix(suffix) {
			return f, f.resolve()
		}
		f.names[i] = file.Name
	}
	return f, nil
}

// resolve is for releases that an OCI client titled in its own way.
func (f *releaseFiles) resolve() error {
	d, err := newDescription(registry.Artifact{
		Files:       f.Files,
		Annotations: map[string]string{registry.AnnotationName: f.Package, "org.opencontainers.image.version": f.coords.Version},
	})
	if err != nil {
		return err
	}
	f.names, err = fileNames(f.Files, f.coords, d.pom)
	return err
}

// file finds a file by its name in the repository.
func (f releaseFiles) file(name string) (registry.File, bool) {
	for i, n := range f.names {
		if n == name {
			return f.Files[i], true
		}
	}
	return registry.File{}, false
}

// embedded is the POM inside the release's only jar, where that stands for one.
func (f releaseFiles) embedded() []byte {
	if !nativeOf(f.Release).Embedded {
		return nil
	}
	for _, file := range f.Files {
		if facts, err := factsOf(file); err == nil && facts.Jar != nil && len(facts.Jar.POM) > 0 {
			text, err := inflate(facts.Jar.POM)
			if err == nil {
				return text
			}
		}
	}
	return nil
}

// suffixes are what follows the coordinates in the names, in the order of the files.
func (f releaseFiles) suffixes() []string {
	list := make([]string, len(f.names), len(f.names)+1)
	for i, name := range f.names {
		list[i] = strings.TrimPrefix(name, f.stem())
	}
	if nativeOf(f.Release).Embedded {
		list = append(list, ".pom")
	}
	return list
}
