package registry

import "io"

// Staged is content that was stored but that nothing names yet.
type Staged interface {
	Descriptor() Descriptor  // digest and size
	Sums() map[string]string // that the format asks for, lower-case hex
	io.ReaderAt
	// Discard removes what was not published. It never fails for the caller.
	Discard()
}

// Draft is what to publish.
type Draft struct {
	// Package and Version are what the client says they are; Describe must
	// find the same. "" takes what Describe finds.
	Package, Version string
	Files            []DraftFile
	Labels           []string
	// New demands that the release is not there yet, unless it has the same files.
	New bool
	// If must hold for the file that it names; the zero value always holds.
	If        FileCondition
	State     map[string]string // set on the release
	Referrers []Referrer        // attached to the release's new edition
}

// DraftFile is one file to publish.
type DraftFile struct {
	Name        string // the layer's title
	MediaType   string
	Annotations map[string]string // more of the layer's
	Content     Staged
}

// FileCondition is a precondition on one file of a release.
type FileCondition struct {
	File string
	Condition
}

// Referrer is an artifact about a release: a signature, an attestation.
type Referrer struct {
	ArtifactType string
	MediaType    string // of its one layer
	Title        string
	Content      []byte
	Annotations  map[string]string
}
