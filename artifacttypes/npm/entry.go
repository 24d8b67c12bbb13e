package npm

import (
	"archive/tar"
	"path"
	"strings"

	"github.com/packhouse/packhouse/artifacttypes"
)

// entry is one file of a tarball, as clients unpack it.
type entry struct {
	path     string // below the top folder, whatever that is called
	file     bool
	link     bool
	metadata bool // it is package.json
}

// parseEntry refuses what clients would unpack to another place than it says,
// each in a way of its own.
func parseEntry(h *tar.Header) (entry, error) {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return entry{}, artifacttypes.Invalid("the tarball has the sparse file %q: pack it whole", clip(h.Name))
		}
		if h.Typeflag == tar.TypeXGlobalHeader && (key == "path" || key == "linkpath" || key == "size") {
			return entry{}, artifacttypes.Invalid("the tarball has a global header that renames its files")
		}
	}
	if h.Typeflag == tar.TypeXGlobalHeader { // `git archive` writes one
		return entry{}, nil
	}
	clean, err := cleanPath(h.Name)
	if err != nil {
		return entry{}, err
	}
	_, below, nested := strings.Cut(clean, "/")
	e := entry{path: below}
	// What some file systems take for package.json.
	spelled := strings.TrimRight(strings.ReplaceAll(below, `\`, "/"), ". ")
	e.metadata = strings.EqualFold(path.Clean(spelled), "package.json")
	switch h.Typeflag {
	case tar.TypeReg:
		e.file = true
	case tar.TypeDir:
		if e.metadata {
			return entry{}, artifacttypes.Invalid("package.json in the tarball is a folder")
		}
		return entry{}, nil
	case tar.TypeSymlink, tar.TypeLink:
		e.link = true
		return e, checkLink(h, e, nested)
	default:
		return entry{}, artifacttypes.Invalid("%q in the tarball is neither a file nor a folder nor a link", clip(h.Name))
	}
	if e.metadata && below != "package.json" {
		return entry{}, artifacttypes.Invalid("%q in the tarball is package.json by another name", clip(h.Name))
	}
	return e, nil
}

// cleanPath checks an entry's name and returns it without what means nothing.
func cleanPath(name string) (string, error) {
	slashed := strings.ReplaceAll(name, `\`, "/")
	switch {
	case strings.ContainsRune(name, 0):
		return "", artifacttypes.Invalid("the tarball has a file name with a zero byte: %q", clip(name))
	case strings.HasPrefix(slashed, "/"), len(slashed) > 1 && slashed[1] == ':':
		return "", artifacttypes.Invalid("the tarball has the absolute file name %q", clip(name))
	}
	top, below, nested := strings.Cut(name, "/")
	for part := range strings.SplitSeq(slashed, "/") {
		if part == ".." {
			return "", artifacttypes.Invalid("the tarball has the file name %q, which leaves its folder", clip(name))
		}
	}
	if !nested {
		return top, nil
	}
	if below = path.Clean("/" + below)[1:]; below == "" {
		return top, nil
	}
	return top + "/" + below, nil
}

// checkLink lets links pass that clients ignore, or unpack within the package.
func checkLink(h *tar.Header, e entry, nested bool) error {
	if e.metadata || !nested || h.Typeflag == tar.TypeLink && strings.EqualFold(path.Base(h.Linkname), "package.json") {
		return artifacttypes.Invalid("%q in the tarball is a link, through which package.json is not what it seems", clip(h.Name))
	}
	target := strings.ReplaceAll(h.Linkname, `\`, "/")
	if h.Typeflag == tar.TypeSymlink {
		target = path.Join(path.Dir(strings.ReplaceAll(h.Name, `\`, "/")), target)
	}
	if target = path.Clean(target); strings.HasPrefix(h.Linkname, "/") || target == ".." || strings.HasPrefix(target, "../") {
		return artifacttypes.Invalid("the link %q in the tarball leaves its folder", clip(h.Name))
	}
	return nil
}

// links are the paths of a tarball's links.
type links map[string]struct{}

// cross returns an error if path is one of the links or lies behind one: what
// is unpacked there lands somewhere else.
func (l links) cross(p string) error {
	for i := 0; len(l) > 0 && i <= len(p); i++ {
		if i < len(p) && p[i] != '/' {
			continue
		}
		if _, ok := l[p[:i]]; ok {
			return artifacttypes.Invalid("%q in the tarball lies behind the link %q", clip(p), clip(p[:i]))
		}
	}
	return nil
}

func (l links) add(p string) error {
	if l[p] = struct{}{}; len(l) > maxLinks {
		return artifacttypes.Invalid("the tarball has more than %d links", maxLinks)
	}
	return nil
}
