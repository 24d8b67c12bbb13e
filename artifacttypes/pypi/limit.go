package pypi

import "github.com/packhouse/packhouse/artifacttypes"

// What Inspect takes. The bounds are on declared or streamed sizes: nothing is
// unpacked to find out.
const (
	maxEntries   = 100_000
	maxUnpacked  = 20 << 30 // bytes
	ratioFrom    = 64 << 20 // bytes unpacked from which the ratio counts
	maxRatio     = 100
	maxDirectory = 16 << 20 // bytes of a zip archive's central directory
	maxPath      = 4096     // bytes of a member's name
	maxMetadata  = 10 << 20 // bytes of METADATA or PKG-INFO
	maxHeaders   = 1 << 20  // bytes of their fields, but the description
	maxKept      = 1 << 20  // bytes of METADATA that facts hold
	maxWheelFile = 64 << 10 // bytes of WHEEL
	maxArmor     = 64 << 10 // bytes of a detached signature
)

// expansion counts what an archive unpacks to.
type expansion struct {
	entries          int
	unpacked, packed int64 // bytes so far
}

// add counts n more bytes out of the archive.
func (e *expansion) add(n int64) error {
	if n < 0 || n > maxUnpacked-e.unpacked {
		return artifacttypes.Invalid("the archive unpacks to more than %d GiB", maxUnpacked>>30)
	}
	e.unpacked += n
	return e.check()
}

func (e *expansion) check() error {
	if e.unpacked > ratioFrom && e.unpacked/maxRatio > e.packed {
		return artifacttypes.Invalid("the archive unpacks to more than %d times its size", maxRatio)
	}
	return nil
}

// entry counts one more member.
func (e *expansion) entry() error {
	if e.entries++; e.entries > maxEntries {
		return artifacttypes.Invalid("the archive has more than %d entries", maxEntries)
	}
	return nil
}
