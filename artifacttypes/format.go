package artifacttypes

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"iter"
	"net/http"
	"time"

	"github.com/packhouse/packhouse/registry"
)

// Format is one ecosystem.
type Format interface {
	Info() Info
	Names
	Facts
	Views
	// Routes is the native protocol, below the feed's URL.
	Routes() []Route
	// WriteError says it as this ecosystem's client reads it.
	WriteError(w http.ResponseWriter, r *http.Request, e *registry.Error)
}

// Names maps native names to OCI's. All of it is pure.
type Names interface {
	// Canonical returns the canonical spelling of a package's name and of one
	// of its versions, "" for "". It returns NAME_INVALID, MANIFEST_INVALID.
	Canonical(pkg, version string) (string, string, error)
	// Repository maps a canonical package name to the components that follow
	// the feed's name in its repository's, as [EncodePath] makes them. Another
	// name maps to other components. It returns NAME_INVALID.
	Repository(pkg string) (string, error)
	// Tag maps a canonical version to its tag, see [SemverTag] and [EscapeTag].
	// It returns MANIFEST_INVALID.
	Tag(version string) (registry.Tag, error)
	// Label tells whether a tag that is no version's may point to releases of
	// this format (npm's dist-tags). It returns nil or MANIFEST_INVALID with
	// what was expected.
	Label(label string) error
}

// Facts derives what a release is from its files.
type Facts interface {
	// Inspect reads one file. name is the layer's title, "" if it has none;
	// mediaType the layer's. The result is stored by format, [Info.Parser],
	// digest, name and media type, so a file is read once however many
	// editions hold it. It returns MANIFEST_INVALID with one sentence for what
	// it refuses, after a bounded amount of work and memory.
	Inspect(ctx context.Context, name, mediaType string, r io.ReaderAt, size int64) (json.RawMessage, error)
	// Describe derives a release from its manifest. Pure. It returns
	// MANIFEST_INVALID with one sentence.
	Describe(a registry.Artifact) (registry.Facts, error)
	// Envelope is what a native publish puts around the files of a release.
	// Pure.
	Envelope(f registry.Facts, files []registry.File) Envelope
}

// Views renders what clients read.
type Views interface {
	// Fragment renders one release's part of a document, of one of
	// [Info.Fragments]. Pure. [Base] in it stands for the feed's URL.
	Fragment(kind string, r *registry.Release, w *bytes.Buffer) error
	// Compose renders one package's document, or its part of a feed's
	// document, out of fragments. Pure.
	Compose(document string, p *registry.Package, from Fragments, w io.Writer) error
}

// Info is what is fixed about a format.
type Info struct {
	Name   string // "npm": folder, URL segment, configuration key, metric label
	Title  string // "npm": as people write it
	Parser int    // raised when Inspect or Describe find other facts in the same bytes
	// ArtifactTypes are those of its manifests; the first is its own.
	ArtifactTypes []string
	Sums          []string // which checksums each file's facts hold, see [registry.FileFacts]
	Fragments     []string // kinds of fragments, rendered when a release changes
	Documents     []Document
	Settings      []Setting
	Clients       []string // real clients that the tests drive
	Usage         []Usage
}

// Usage is a command that a new user copies.
type Usage struct {
	Client  string // "npm"
	Command string // with [Base] for the URL of a feed
}

// Document is one document that clients read.
type Document struct {
	Name string
	Type string // Content-Type
	// Feed documents are one per feed: Head, the composed part of each package
	// joined by Separator, Tail. They hold no [Base]. Others are one per package.
	Feed                  bool
	Head, Separator, Tail string
	// Fragments are the kinds that Compose takes of a feed document's packages.
	Fragments []string
}

// Setting is one configuration key: formats.NAME.KEY.
type Setting struct {
	Key, Default, Doc string
	Check             func(value string) error // nil accepts anything
}

// Base in a document stands for the feed's absolute URL, without a trailing
// slash. No JSON, XML, YAML or HTML contains this byte.
const Base = "\x00"

// Fragments are what a document is made of.
type Fragments interface {
	// All yields the fragments of a kind with their versions, in the order of
	// first publication. A sequence yields at most one error, as its last
	// element.
	All(kind string) iter.Seq2[Fragment, error]
	// One returns one version's fragment, nil if it has none.
	One(kind, version string) ([]byte, error)
}

// Fragment is one release's part of a document.
type Fragment struct {
	Version   string
	Published time.Time
	Body      []byte
}

// Envelope is a typed manifest without its layers.
type Envelope = registry.Envelope

// Signed is a format whose releases the registry signs with its own key when
// they are published.
type Signed interface {
	// SignedText returns what is signed of r, nil for nothing. Pure.
	SignedText(r *registry.Release) []byte
}
