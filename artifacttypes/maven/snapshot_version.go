package maven

import (
	"cmp"
	"strconv"
	"strings"
	"time"
)

const (
	snapshot    = "SNAPSHOT"
	stampLayout = "20060102.150405"
)

// isSnapshot tells whether version is a snapshot's own, which stands for its
// newest build.
func isSnapshot(version string) bool {
	return version == snapshot || strings.HasSuffix(version, "-"+snapshot)
}

// build is one build of a snapshot: VERSION-20261123.203355-1.
type build struct {
	Base   string // "1.1.0-SNAPSHOT"
	Stamp  string // "20261123.203355", UTC
	Number int
}

// parseBuild reads the version of a build. ok is false for any other version.
func parseBuild(version string) (b build, ok bool) {
	rest, number, found := cutLast(version, "-")
	if !found {
		return build{}, false
	}
	prefix, stamp, dashed := cutLast(rest, "-")
	n, err := strconv.Atoi(number)
	if !isStamp(stamp) || err != nil || n < 0 || number != strconv.Itoa(n) || dashed && prefix == "" {
		return build{}, false
	}
	b = build{Base: snapshot, Stamp: stamp, Number: n}
	if dashed {
		b.Base = prefix + "-" + snapshot
	}
	return b, true
}

func isStamp(s string) bool {
	_, err := time.Parse(stampLayout, s)
	return err == nil && len(s) == len(stampLayout)
}

func (b build) version() string {
	return strings.TrimSuffix(b.Base, snapshot) + b.Stamp + "-" + strconv.Itoa(b.Number)
}

// updated is the stamp as metadata writes times.
func (b build) updated() string { return strings.Replace(b.Stamp, ".", "", 1) }

// compare orders builds of one snapshot, the older one first.
func (b build) compare(other build) int {
	return cmp.Or(strings.Compare(b.Stamp, other.Stamp), cmp.Compare(b.Number, other.Number))
}

// next is the version of the build after b, which may be zero, at a time. The
// seconds are left out, so that requests that start a build together choose
// the same one.
func (b build) next(base string, now time.Time) build {
	stamp := now.UTC().Truncate(time.Minute).Format(stampLayout)
	return build{Base: base, Stamp: max(stamp, b.Stamp), Number: b.Number + 1}
}

// baseVersion is the version that a user writes: a build's snapshot, or the
// version itself.
func baseVersion(version string) string {
	if b, ok := parseBuild(version); ok {
		return b.Base
	}
	return version
}

// cutLast is [strings.Cut] around the last sep; without one, after is all of s.
func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+len(sep):], true
}
