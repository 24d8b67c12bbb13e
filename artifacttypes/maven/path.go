package maven

import (
	"slices"
	"strings"

	"github.com/packhouse/packhouse/registry"
)

const metadataFile = "maven-metadata.xml"

// place is what a path of the repository names.
type place struct {
	dir []string // all segments of a directory, or of the one that holds the file
	// file is the name at the end, without the checksums; "" for a directory.
	file string
	sums []string // the checksums that follow, ".asc.sha1" giving "sha1", innermost first
	// coords are those of an artifact's file. Version is the snapshot's where
	// the file's name holds no build.
	coords
	// suffix is what follows the coordinates in an artifact's file name:
	// "-sources.jar". It is "" for any other file.
	suffix string
}

// parsePath reads a path below the feed, unescaped. A file is told from a
// directory by its name, which starts with its directory's artifact and
// version. It returns NAME_INVALID, MANIFEST_INVALID.
func parsePath(path string) (place, error) {
	var p place
	trimmed := strings.TrimSuffix(path, "/")
	if trimmed == "" {
		return p, nil
	}
	p.dir = strings.Split(trimmed, "/")
	for _, segment := range p.dir {
		if segment == "" || segment[0] == '.' || strings.ContainsFunc(segment, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }) {
			return place{}, registry.E("maven.path", registry.NameUnknown, nil, "%q is not a path of a Maven repository", clip(path))
		}
	}
	if trimmed != path {
		return p, nil
	}
	last := len(p.dir) - 1
	name, sums := cutSums(p.dir[last])
	if name == metadataFile || strings.HasPrefix(name, metadataFile+".") {
		p.dir, p.file, p.sums = p.dir[:last], name, sums
		return p, nil
	}
	if last < 3 {
		return p, nil
	}
	c := coords{Group: strings.Join(p.dir[:last-2], "."), Artifact: p.dir[last-2], Version: p.dir[last-1]}
	if c.Version == "LATEST" || c.Version == "RELEASE" { // words that Maven resolves itself
		return place{}, registry.E("maven.path", registry.ManifestInvalid, nil, "%s is a reserved word and no version", c.Version)
	}
	suffix, ok := c.cut(name)
	if !ok || strings.Contains(strings.Join(p.dir[:last-2], ""), ".") { // a group's parts have a directory each
		return p, nil
	}
	if err := checkPackage(c.Group, c.Artifact); err != nil {
		return place{}, err
	}
	if err := checkVersion(c.Version); err != nil {
		return place{}, err
	}
	p.dir, p.file, p.sums, p.coords, p.suffix = p.dir[:last], name, sums, c, suffix
	return p, nil
}

// cut splits name after c's artifact and version, and sets the version to the
// build's where c is a snapshot's directory and the name holds one.
func (c *coords) cut(name string) (suffix string, ok bool) {
	rest, ok := strings.CutPrefix(name, c.Artifact+"-")
	if !ok {
		return "", false
	}
	if suffix, ok := strings.CutPrefix(rest, c.Version); ok && isSuffix(suffix) {
		return suffix, true
	}
	if !isSnapshot(c.Version) {
		return "", false
	}
	// VERSION-STAMP-NUMBER, then the suffix.
	prefix := strings.TrimSuffix(c.Version, snapshot)
	number, ok := strings.CutPrefix(rest, prefix)
	if !ok || len(number) <= len(stampLayout) || !isStamp(number[:len(stampLayout)]) {
		return "", false
	}
	end := len(stampLayout) + 1
	for end < len(number) && isDigit(number[end]) {
		end++
	}
	version := prefix + number[:end]
	if b, ok := parseBuild(version); !ok || b.Base != c.Version || !isSuffix(number[end:]) {
		return "", false
	}
	c.Version = version
	return number[end:], true
}

// isSuffix tells whether s can follow the version in a file's name: a
// classifier, if any, and an extension.
func isSuffix(s string) bool {
	return len(s) > 1 && (s[0] == '.' || s[0] == '-' && strings.Contains(s, ".")) && s[len(s)-1] != '.'
}

// cutSums removes the extensions of checksums from the end of a file's name.
func cutSums(name string) (base string, sums []string) {
	for {
		before, ext, ok := cutLast(name, ".")
		if !ok || !isSum(ext) {
			slices.Reverse(sums)
			return name, sums
		}
		name, sums = before, append(sums, ext)
	}
}

func isSum(ext string) bool {
	switch ext {
	case "md5", "sha1", "sha256", "sha512":
		return true
	}
	return false
}

// splitSuffix tells classifier and extension of "-sources.tar.gz" apart. A
// classifier may hold dots, so the extension is the last part, with what is
// known to belong to it.
func splitSuffix(suffix string) (classifier, extension string) {
	head, tail := suffix, ""
	for _, side := range []string{".asc", ".sigstore.json", ".sigstore"} {
		if before, ok := strings.CutSuffix(head, side); ok && strings.Contains(before, ".") {
			head, tail = before, side
			break
		}
	}
	before, ext, _ := cutLast(head, ".")
	if outer, ok := strings.CutSuffix(before, ".tar"); ok {
		before, ext = outer, "tar."+ext
	}
	return strings.TrimPrefix(before, "-"), ext + tail
}
