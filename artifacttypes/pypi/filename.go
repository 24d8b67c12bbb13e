package pypi

import (
	"slices"
	"strings"

	"github.com/packhouse/packhouse/artifacttypes"
)

const maxFileName = 255 // bytes

// What a file of a release is, by the end of its name.
type kind string

const (
	wheelKind     kind = "wheel"
	sdistKind     kind = "sdist"
	metadataKind  kind = "metadata"  // of the wheel whose name comes before ".metadata"
	signatureKind kind = "signature" // of the file whose name comes before ".asc"
)

const (
	metadataSuffix  = ".metadata"
	signatureSuffix = ".asc"
)

// kindOf tells what name is, and refuses what this feed does not take.
func kindOf(name string) (kind, error) {
	switch {
	case name == "":
		return "", artifacttypes.Invalid("a layer has no org.opencontainers.image.title: give each the name of its file, such as my_pkg-1.0-py3-none-any.whl")
	case !plainName(name):
		return "", artifacttypes.Invalid("%q is not the name of a Python distribution: letters, digits and any of . _ + - ! are", clip(name))
	}
	for suffix, k := range kinds {
		if base, ok := strings.CutSuffix(name, suffix); ok && base != "" {
			if k == metadataKind && !strings.HasSuffix(base, ".whl") {
				return "", artifacttypes.Invalid("%s is not beside a wheel: only wheels have a %s file", name, metadataSuffix)
			}
			return k, nil
		}
	}
	for suffix, what := range retired {
		if strings.HasSuffix(strings.ToLower(name), suffix) {
			return "", artifacttypes.Invalid("%s is %s, which installers no longer take: build a wheel or a source distribution", name, what)
		}
	}
	return "", artifacttypes.Invalid("%s is neither a wheel (.whl) nor a source distribution (.tar.gz, or .zip)", name)
}

var kinds = map[string]kind{
	".whl": wheelKind, ".tar.gz": sdistKind, ".zip": sdistKind,
	metadataSuffix: metadataKind, signatureSuffix: signatureKind,
}

var retired = map[string]string{
	".egg": "an egg", ".exe": "a Windows installer", ".msi": "a Windows installer", ".rpm": "an RPM", ".deb": "a Debian package",
	".dmg": "a macOS image", ".tgz": "a source distribution in an old form", ".tar.bz2": "a source distribution in an old form",
	".tar.xz": "a source distribution in an old form", ".tar.z": "a source distribution in an old form", ".tar": "a source distribution in an old form",
}

func plainName(name string) bool {
	if len(name) > maxFileName || name[0] == '.' {
		return false
	}
	for i := range len(name) {
		if c := name[i]; !alphanumeric(c) && strings.IndexByte("._+-!", c) < 0 {
			return false
		}
	}
	return true
}

// wheelName is what the name of a wheel says: the binary distribution format,
// "File name convention".
type wheelName struct {
	name, version string // canonical
	build         string // "" if absent
	tags          string // PYTHON-ABI-PLATFORM
}

func parseWheelName(file string) (wheelName, error) {
	stem, _ := strings.CutSuffix(file, ".whl")
	parts := strings.Split(stem, "-")
	bad := func(what string) (wheelName, error) {
		return wheelName{}, artifacttypes.Invalid("%s %s: the name of a wheel is NAME-VERSION(-BUILD)-PYTHON-ABI-PLATFORM.whl", clip(file), what)
	}
	const least, most = 5, 6
	if len(parts) != least && len(parts) != most {
		return bad("does not have five or six parts")
	}
	w := wheelName{tags: strings.Join(parts[len(parts)-3:], "-")}
	if slices.Contains(parts[len(parts)-3:], "") {
		return bad("lacks a tag")
	}
	if len(parts) == most {
		if w.build = parts[2]; w.build == "" || !digit(w.build[0]) {
			return bad("has a build number that does not start with a digit")
		}
	}
	var ok bool
	if w.name, ok = canonicalName(parts[0]); !ok {
		return bad("does not start with a project's name")
	}
	if w.version, ok = escapedVersion(parts[1]); !ok {
		return bad("has no version of PEP 440")
	}
	return w, nil
}

// escapedVersion reads the version in a file's name, where '-' may stand as '_'.
func escapedVersion(s string) (string, bool) {
	if canonical, ok := canonicalVersion(s); ok {
		return canonical, true
	}
	return canonicalVersion(strings.ReplaceAll(s, "_", "-"))
}

// python is the interpreter tag: "py3".
func (w wheelName) python() string {
	python, _, _ := strings.Cut(w.tags, "-")
	return python
}

// key is the same for two names of one wheel.
func (w wheelName) key() string {
	return strings.ToLower(w.name + "-" + w.version + "-" + w.build + "-" + w.tags)
}

// sdistIs tells whether file is the name of the source distribution of name
// and version, both canonical. Before PEP 625 both parts could hold '-', so
// the name alone does not say where it ends.
func sdistIs(file, name, version string) bool {
	stem := strings.TrimSuffix(strings.TrimSuffix(file, ".tar.gz"), ".zip")
	for i := range len(stem) {
		if stem[i] != '-' {
			continue
		}
		if left, ok := canonicalName(stem[:i]); !ok || left != name {
			continue
		}
		if right, ok := escapedVersion(stem[i+1:]); ok && right == version {
			return true
		}
	}
	return false
}

// clip keeps a client's own words short in the sentence sent back.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
