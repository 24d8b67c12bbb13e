package registry

import (
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Descriptor is the OCI content descriptor, image-spec descriptor.md.
type Descriptor = ocispec.Descriptor

// Manifest is one stored manifest: its descriptor (MediaType is what it is
// served as) and the exact bytes pushed.
type Manifest struct {
	Descriptor
	Raw []byte
}

// Condition is an RFC 9110 precondition (If-Match, If-None-Match) on what a
// name points to at the moment of the commit. The zero Condition always holds.
// Entries are digests, or "*" for anything at all.
type Condition struct {
	Match     []string
	NoneMatch []string
}

// Holds tells whether c is met while the name points to current, "" for absent.
func (c Condition) Holds(current Digest) bool {
	in := func(set []string) bool {
		return current != "" && (slices.Contains(set, "*") || slices.Contains(set, current.String()))
	}
	if len(c.Match) > 0 && !in(c.Match) {
		return false
	}
	return !in(c.NoneMatch)
}

// Check returns PRECONDITION_FAILED unless c holds.
func (c Condition) Check(op string, name string, current Digest) error {
	if c.Holds(current) {
		return nil
	}
	state := "does not exist"
	if current != "" {
		state = "is " + current.String()
	}
	return E(op, PreconditionFailed, nil, "%s %s, which the request's precondition excludes", name, state)
}
