package npm

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

const (
	maxName    = 214 // bytes of a package name, scope included
	maxVersion = 256 // bytes of a version
)

// safeText is what encodeURIComponent leaves alone, which is all that names
// and dist-tags may hold.
var safeText = regexp.MustCompile(`^[A-Za-z0-9._~!*'()-]+$`)

// parseName checks a package name, names of old included: they may have
// capital letters and ~'!()*. It returns NAME_INVALID.
func parseName(name string) error {
	bad := func(why string) error {
		return registry.E("npm.parseName", registry.NameInvalid, nil, "%q is not a package name: %s", clip(name), why)
	}
	base, scope, scoped := name, "", false
	if rest, ok := strings.CutPrefix(name, "@"); ok {
		if scope, base, scoped = strings.Cut(rest, "/"); !scoped {
			return bad("a scope is followed by a slash and the name in it")
		}
	}
	switch {
	case len(name) > maxName:
		return bad("it is longer than 214 bytes")
	case !safeText.MatchString(base), scoped && !safeText.MatchString(scope):
		return bad("want letters, digits, '-', '_' and '.', and @scope/ before them if there is a scope")
	case strings.HasPrefix(base, "."), strings.HasPrefix(scope, "."):
		return bad("it starts with a period")
	case strings.HasPrefix(base, "-"), !scoped && strings.HasPrefix(base, "_"):
		return bad("it starts with '-' or '_'")
	case slices.Contains([]string{"node_modules", "favicon.ico"}, strings.ToLower(name)):
		return bad("the name has a meaning of its own")
	}
	return nil
}

// oldName tells whether name is one that npm gives to no new package.
func oldName(name string) bool {
	return strings.ToLower(name) != name || strings.ContainsAny(name, "~'!()*")
}

// baseName is the name without its scope, of which tarballs are named.
func baseName(name string) string { return name[strings.IndexByte(name, '/')+1:] }

func tarballName(name, version string) string { return baseName(name) + "-" + version + ".tgz" }

// purl is the package URL, as npm signs it in provenance.
func purl(name, version string) string {
	return "pkg:npm/" + strings.Replace(name, "@", "%40", 1) + "@" + version
}

// looseVersion is semantic versioning as npm reads it in a package.json: with
// "v" or "=" before it, without the hyphen before a prerelease, with zeros
// before numbers.
var looseVersion = regexp.MustCompile(`^[v=\s]*([0-9]+)\.([0-9]+)\.([0-9]+)` +
	`(?:-?((?:[0-9]+|[0-9]*[a-zA-Z-][a-zA-Z0-9-]*)(?:\.(?:[0-9]+|[0-9]*[a-zA-Z-][a-zA-Z0-9-]*))*))?` +
	`(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?\s*$`)

// canonical is the one spelling of a version, without build metadata. It
// returns MANIFEST_INVALID.
func canonical(version string) (string, error) {
	bad := artifacttypes.Invalid("%q is not a version: want MAJOR.MINOR.PATCH, or MAJOR.MINOR.PATCH-PRERELEASE", clip(version))
	if len(version) > maxVersion {
		return "", bad
	}
	m := looseVersion.FindStringSubmatch(version)
	if m == nil {
		return "", bad
	}
	numbers := make([]string, 3)
	for i := range numbers {
		n, err := strconv.ParseUint(m[i+1], 10, 64)
		if err != nil || n > maxSafeInteger {
			return "", bad
		}
		numbers[i] = strconv.FormatUint(n, 10)
	}
	clean := strings.Join(numbers, ".")
	if m[4] == "" {
		return clean, nil
	}
	ids := strings.Split(m[4], ".")
	for i, id := range ids {
		if strings.Trim(id, "0123456789") == "" {
			if ids[i] = strings.TrimLeft(id, "0"); ids[i] == "" {
				ids[i] = "0"
			}
		}
	}
	return clean + "-" + strings.Join(ids, "."), nil
}

// maxSafeInteger is the largest number that a version may hold: 2^53-1.
const maxSafeInteger = 1<<53 - 1

// highest returns the highest of canonical versions that is no prerelease, the
// highest of all if all are, "" of none.
func highest(versions []string) string {
	var best *semver.Version
	for _, s := range versions {
		v, err := semver.StrictNewVersion(s)
		if err != nil {
			continue
		}
		if best == nil || stable(v) && !stable(best) || stable(v) == stable(best) && v.GreaterThan(best) {
			best = v
		}
	}
	if best == nil {
		return ""
	}
	return best.String()
}

func stable(v *semver.Version) bool { return v.Prerelease() == "" }

// rangeText is what npm takes for a range of versions among the texts that
// [safeText] allows.
var rangeText = regexp.MustCompile(`^~?v*(?:0|[1-9][0-9]*|x|X|\*)` +
	`(?:\.(?:0|[1-9][0-9]*|x|X|\*)(?:\.(?:0|[1-9][0-9]*|x|X|\*)(?:-[0-9A-Za-z.-]+)?)?)?$`)

// versionLike is what people take for a version, and what a version pushed to
// a wrong tag looks like.
var versionLike = regexp.MustCompile(`^(v[0-9]|[0-9]+\.[0-9]+\.[0-9])`)

// checkLabel checks a dist-tag. It returns MANIFEST_INVALID.
func checkLabel(label string) error {
	switch {
	case len(label) > registry.MaxTagLength, !safeText.MatchString(label):
		return artifacttypes.Invalid("%q is not a dist-tag: want at most 128 letters, digits, '-', '_' and '.'", clip(label))
	case rangeText.MatchString(label), versionLike.MatchString(label):
		return artifacttypes.Invalid("%q is not a dist-tag, as it reads like a version or a range of versions: choose a word, such as next", clip(label))
	}
	if _, err := registry.ParseTag(label); err != nil || registry.IsSignatureTag(registry.Tag(label)) {
		return artifacttypes.Invalid("%q is not a dist-tag: want at most 128 letters, digits, '-', '_' and '.', starting with a letter, a digit or '_'", clip(label))
	}
	return nil
}

// clip keeps a client's own words short in the sentence sent back.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
