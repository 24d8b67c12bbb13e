package maven

import (
	"strings"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

const maxName = 200 // bytes of a group, an artifact or a version

// coords are a release's coordinates.
type coords struct {
	Group    string `json:"g,omitempty"`
	Artifact string `json:"a,omitempty"`
	Version  string `json:"v,omitempty"`
}

// pkg is the canonical package name.
func (c coords) pkg() string { return c.Group + ":" + c.Artifact }

// stem is what the names of the release's files start with.
func (c coords) stem() string { return c.Artifact + "-" + c.Version }

func (c coords) legal() bool {
	return checkPackage(c.Group, c.Artifact) == nil && checkVersion(c.Version) == nil
}

func splitPackage(pkg string) (group, artifact string, err error) {
	group, artifact, ok := strings.Cut(pkg, ":")
	if !ok {
		return "", "", badName("%q is not a Maven package: want GROUP:ARTIFACT", clip(pkg))
	}
	return group, artifact, checkPackage(group, artifact)
}

// checkPackage holds names to what Maven's own model validation allows, and a
// group to what survives as a path. It returns NAME_INVALID.
func checkPackage(group, artifact string) error {
	for part := range strings.SplitSeq(group, ".") {
		if !legalName(part) {
			return badName("%q is not a group id: want letters, digits, '_' and '-' in parts joined by single dots", clip(group))
		}
	}
	if !legalName(artifact) || artifact[0] == '.' || strings.Contains(artifact, "..") {
		return badName("%q is not an artifact id: want letters, digits, '_', '-' and '.', not starting with '.'", clip(artifact))
	}
	if len(group) > maxName || len(artifact) > maxName {
		return badName("group and artifact id have at most %d bytes each", maxName)
	}
	return nil
}

func legalName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !isAlnum(c) && c != '_' && c != '-' && c != '.' {
			return false
		}
	}
	return s != ""
}

// checkVersion refuses what Maven refuses in a version, and what is not
// printable ASCII. It returns MANIFEST_INVALID.
func checkVersion(version string) error {
	bad := version == "" || len(version) > maxName || version[0] == '.' || version[0] == '-' || strings.Contains(version, "..")
	for i := range len(version) {
		bad = bad || version[i] <= ' ' || version[i] > '~' || strings.IndexByte(`\/:"<>|?*[](){},$&#%;'`, version[i]) >= 0
	}
	if bad {
		return artifacttypes.Invalid("%q is not a version that Maven can use: want at most %d letters, digits and any of . - _ + ~ ! @ ^ =", clip(version), maxName)
	}
	return nil
}

func badName(format string, a ...any) error {
	return registry.E("maven.Repository", registry.NameInvalid, nil, format, a...)
}

func isAlnum(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || isDigit(c) }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// clip keeps a client's own words short in the sentence sent back.
func clip(s string) string {
	const most = 120
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
