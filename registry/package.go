package registry

import (
	"encoding/json"
	"time"
)

// Annotations of our own on typed manifests.
const (
	AnnotationFormat = "dev.packhouse.format" // the format's name
	AnnotationName   = "dev.packhouse.name"   // the package's native name
	AnnotationPurl   = "dev.packhouse.purl"   // its package URL
	AnnotationFile   = "dev.packhouse.file"   // on a referrer: the title of the one file it is about

	// Never stored: what [Artifact.Annotations] holds where a pushed manifest
	// has neither a name nor a version. It is the repository's name below its
	// feed, and the tag.
	AnnotationNameHint    = "dev.packhouse.name.hint"
	AnnotationVersionHint = "dev.packhouse.version.hint"
)

// TypeStatus is the artifact type of a status referrer: the state of a release
// in its annotations, so that it travels with copies.
const TypeStatus = "application/vnd.packhouse.status.v1+json"

// Annotations of a status referrer.
const (
	AnnotationStatus      = "dev.packhouse.status"       // the state, a JSON object of strings
	AnnotationStatusCount = "dev.packhouse.status.count" // decimal; the highest wins
)

// Artifact is a typed manifest as its format reads it.
type Artifact struct {
	ArtifactType string // as a referrers list shows it: artifactType, or the config's media type
	Annotations  map[string]string
	Files        []File // the layers, in the manifest's order
}

// Envelope is a typed manifest without its layers.
type Envelope struct {
	ArtifactType string // "" where the config's type says it
	ConfigType   string // "" for the empty config
	Config       []byte
	Annotations  map[string]string
}

// File is one file of a release.
type File struct {
	// Name is the layer's org.opencontainers.image.title, "" if it has none.
	Name string `json:"name"`
	Descriptor
	Facts FileFacts `json:"facts"`
	// Added is when the release first had the file here; zero while the
	// manifest is only being described.
	Added time.Time `json:"added"`
}

// Key tells a release's files apart: the name, or what stands for it where a
// format's own clients set none.
func (f File) Key() string {
	if f.Name != "" {
		return f.Name
	}
	return f.MediaType
}

// Same tells whether f and g are one file of a release: one key, or one content
// of which one side does not say its name.
func (f File) Same(g File) bool {
	return f.Key() == g.Key() || f.Digest == g.Digest && (f.Name == "" || g.Name == "")
}

// Keeps tells whether g, in a later edition, is f as clients know it: a name
// that is there does not vanish.
func (f File) Keeps(g File) bool {
	return f.Key() == g.Key() || f.Digest == g.Digest && f.Name == ""
}

// FileFacts is what was found out about one file's content.
type FileFacts struct {
	// Sums holds the checksums that the format asks for, in lower-case hex, by
	// "md5", "sha1", "sha256", "sha512".
	Sums map[string]string `json:"sums,omitempty"`
	// Native is what the format read in the file; JSON, null for nothing.
	Native json.RawMessage `json:"native,omitempty"`
}

// Facts is what a format derives from a typed manifest and its files. Derived
// again from the same, it is the same.
type Facts struct {
	Package string `json:"package"` // canonical native name
	Version string `json:"version"` // canonical native version
	// Incomplete keeps a release out of all documents, since what its clients
	// need is still to come. Its files are served.
	Incomplete  bool            `json:"incomplete,omitempty"`
	Description string          `json:"description,omitempty"`
	License     string          `json:"license,omitempty"` // SPDX expression where it is known
	Keywords    []string        `json:"keywords,omitempty"`
	Native      json.RawMessage `json:"native,omitempty"` // the format's own
}

// Release is one version of a package.
type Release struct {
	Facts
	Repo   Repo
	Tag    Tag
	Digest Digest // of the manifest that the tag points to: the latest edition
	Files  []File
	State  map[string]string // by the format's own keys, such as "deprecated"
	// Published is the first commit here, or the time a trusted import named.
	Published time.Time
	Updated   time.Time // the last change of its files
	Signature *Signature
}

// File finds a file by its name.
func (r *Release) File(name string) (File, bool) {
	for _, f := range r.Files {
		if f.Name == name {
			return f, true
		}
	}
	return File{}, false
}

// Signature is the registry's own over a text that the release's format
// chooses: ECDSA P-256 with SHA-256, made once and stored.
type Signature struct {
	KeyID string `json:"keyid"` // "SHA256:" and the base64 of the SHA-256 of the public key's SPKI
	Sig   []byte `json:"sig"`   // ASN.1 DER
}

// Version is one version of a package in a list of them.
type Version struct {
	Version    string
	Tag        Tag
	Published  time.Time
	Incomplete bool
	Withdrawn  time.Time // zero while it is there
}

// Package is a package apart from its versions.
type Package struct {
	Name    string
	Repo    Repo
	Labels  map[string]string // label → version
	State   map[string]string // of the package as a whole, by the format's own keys
	Created time.Time         // when its first release was published
	Updated time.Time         // of the last change of anything
	// Generation grows with each change of anything about the package.
	Generation int64
}

// Feed is one format's packages in one namespace.
type Feed struct {
	ID        int64
	Namespace string
	Format    string
}

// Name is the prefix of the feed's repositories: NAMESPACE/FORMAT.
func (f Feed) Name() string { return f.Namespace + "/" + f.Format }

// Op is one change of a package's names or state.
type Op interface{ op() }

// The operations. Versions and labels are native ones.
type (
	// SetLabel points a label to a version.
	SetLabel struct{ Label, Version string }
	// DropLabel removes a label.
	DropLabel struct{ Label string }
	// WithdrawVersion removes a version and leaves a tombstone: nobody can
	// publish under it again. Retention marks what a format's own rule removes
	// in the course of a publish: it needs the right to create, not to withdraw.
	WithdrawVersion struct {
		Version, Reason string
		Retention       bool
	}
	// RestoreVersion brings a withdrawn version back while the trash window lasts.
	RestoreVersion struct{ Version string }
	// SetState sets one key of a version's state, or of the package's for
	// Version "". Value "" removes the key.
	SetState struct{ Version, Key, Value string }
)

func (SetLabel) op()        {}
func (DropLabel) op()       {}
func (WithdrawVersion) op() {}
func (RestoreVersion) op()  {}
func (SetState) op()        {}
