package typetest

import (
	"net/http"
	"testing"

	"github.com/packhouse/packhouse/artifacttypes"
)

// File is one file of a release.
type File struct {
	Name      string
	MediaType string
	Content   []byte
}

// Sample is one release.
type Sample struct {
	Package, Version string
	// Files are the payload, as its manifest titles them: what a bare OCI push
	// of the release sends.
	Files []File
	// Publish makes the native requests that publish the release, in their
	// order; base is the feed's URL. All must succeed.
	Publish func(base string) ([]*http.Request, error)
	// Paths are where native clients get each file, below the feed, by name.
	Paths map[string]string
}

// Hostile is a file that must be refused.
type Hostile struct {
	Name string // of the case
	File File
}

// Suite is what the contract is tested with.
type Suite struct {
	Format artifacttypes.Format
	// First and Second are versions of one package. Altered is First with
	// other content.
	First, Second, Altered Sample
	// Documents are paths of documents below the feed that name First's
	// version once it is there.
	Documents []string
	// Header is sent with each GET of a document.
	Header http.Header
	// Hostile files, each pushed as the only payload of First.
	Hostile []Hostile
	// Annotations are those that a bare OCI push of First needs beside its
	// files; nil for formats whose files say everything.
	Annotations map[string]string
	// Late says that the package of an upload is known only from its content.
	Late bool
}

// Run runs the suite. The test that calls it must not be parallel, since
// hostile files are read alone: what that costs is measured.
func (s Suite) Run(t *testing.T) {
	t.Helper()
	t.Run("hostile files are refused", s.hostile)
	for _, test := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"native publish is a typed manifest", s.nativeToOCI},
		{"native publish installs", s.nativeToNative},
		{"bare OCI push installs", s.ociToNative},
		{"a copy is the same feed", s.copied},
		{"publishing again succeeds", s.again},
		{"other content is refused", s.immutable},
		{"withdrawn versions leave tombstones", s.tombstone},
		{"documents answer conditions", s.conditions},
		{"files answer ranges", s.ranges},
		{"concurrent publishers: one content wins", s.concurrent},
		{"a reindex gives the same bytes", s.reindex},
		{"names are mapped one to one", s.names},
		{"who may not publish is refused", s.refusals},
		{"what may not be read looks absent", s.hidden},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t)
		})
	}
}
