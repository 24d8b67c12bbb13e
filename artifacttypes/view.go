package artifacttypes

import (
	"context"
	"hash"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"time"

	"github.com/packhouse/packhouse/registry"
)

// View is all that a format's handler is given: one feed, as one caller sees
// it. Names and versions are canonical native ones. Beside what is said of
// each method, all may return UNAUTHORIZED, DENIED and UNAVAILABLE, and those
// that change something NO_SPACE.
type View interface {
	// Feed is the feed's names. The feed need not exist yet: the first publish
	// makes it.
	Feed() registry.Feed
	// URL is the feed's absolute URL as this client reaches it, without a
	// trailing slash.
	URL() string
	// Setting is the value of one of [Info.Settings].
	Setting(key string) string
	Now() time.Time
	Log() *slog.Logger
	// Account is the caller's, as this feed sees it.
	Account() Account
	Publisher
	Lookup
	Sender
}

// Publisher changes a feed.
type Publisher interface {
	// Stage stores body, which may be large, and hashes it on the way: by
	// sha256, by the checksums that the format asks for, and into the given
	// hashes. The caller must call [Staged.Discard] in the end; what was
	// published by then stays. It returns TOO_LARGE, SIZE_INVALID.
	Stage(ctx context.Context, body io.Reader, also ...hash.Hash) (Staged, error)
	// Reuse is Stage for a file that a release of this feed has: no byte is
	// copied.
	Reuse(ctx context.Context, rel *registry.Release, f registry.File) (Staged, error)
	// Publish adds files to a release, which it creates if need be, and sets
	// labels, in one commit. Publishing what is there already succeeds. It
	// returns VERSION_EXISTS when a file, or with Draft.New the release, is
	// there with other content or was withdrawn; MANIFEST_INVALID as Inspect
	// and Describe do; PRECONDITION_FAILED; CONFLICT.
	Publish(ctx context.Context, d Draft) (*registry.Release, error)
	// Change applies ops to one package in one commit. It returns
	// NAME_UNKNOWN, MANIFEST_UNKNOWN, PRECONDITION_FAILED.
	Change(ctx context.Context, pkg string, ops ...registry.Op) error
	// Attach adds a referrer to a release. It returns NAME_UNKNOWN,
	// MANIFEST_UNKNOWN.
	Attach(ctx context.Context, pkg, version string, ref Referrer) error
}

// Lookup reads what a feed knows.
type Lookup interface {
	// Package returns NAME_UNKNOWN when there is no such package, or none of
	// its versions is left.
	Package(ctx context.Context, pkg string) (*registry.Package, error)
	// Release returns NAME_UNKNOWN, MANIFEST_UNKNOWN. Nobody may change it.
	Release(ctx context.Context, pkg, version string) (*registry.Release, error)
	// Versions lists a package's versions in the order of first publication,
	// withdrawn ones included. It returns NAME_UNKNOWN.
	Versions(ctx context.Context, pkg string) ([]registry.Version, error)
	// Packages lists the feed's packages by name, after the given one.
	Packages(ctx context.Context, after string) iter.Seq2[string, error]
	// Search finds packages whose name, description or keywords contain each
	// word of text, and returns up to limit of them from offset, each by its
	// newest release, and how many there are.
	Search(ctx context.Context, text string, offset, limit int) ([]*registry.Release, int, error)
	// Referrers lists the referrers, of one artifact type unless that is "",
	// of all editions of a release.
	Referrers(ctx context.Context, pkg, version, artifactType string) ([]registry.Manifest, error)
	// SigningKeys lists the registry's public keys (SPKI, DER), the present one first.
	SigningKeys(ctx context.Context) ([]SigningKey, error)
}

// Sender reads content and sends it.
type Sender interface {
	// Blob reads content of a release's repository whole, such as a referrer's.
	Blob(ctx context.Context, rel *registry.Release, d registry.Digest) (io.ReadCloser, error)
	// Open reads one file of a release whole.
	Open(ctx context.Context, r *registry.Release, f registry.File) (io.ReadCloser, error)
	// Serve answers GET and HEAD with one file of a release: conditions,
	// ranges, ETag and caching are done here. Content-Type is f's media type and
	// Cache-Control says that it never changes, unless the handler has set them.
	Serve(w http.ResponseWriter, r *http.Request, rel *registry.Release, f registry.File) error
	// Bytes returns a document as Document would send it, not compressed.
	Bytes(ctx context.Context, pkg, name string) ([]byte, error)
	// Document answers GET and HEAD with a document, of package pkg, or of the
	// feed when pkg is "". Conditions and compression are done here; a Vary
	// header is the handler's to add. It returns NAME_UNKNOWN.
	Document(w http.ResponseWriter, r *http.Request, pkg, name string) error
}

// What a [Publisher] takes.
type (
	// Staged is content that was stored but that nothing names yet.
	Staged = registry.Staged
	// Draft is what to publish.
	Draft = registry.Draft
	// DraftFile is one file to publish.
	DraftFile = registry.DraftFile
	// FileCondition is a precondition on one file of a release.
	FileCondition = registry.FileCondition
	// Referrer is an artifact about a release.
	Referrer = registry.Referrer
)

// SigningKey is a public key of the registry.
type SigningKey struct {
	ID      string // "SHA256:" and the base64 of the SHA-256 of SPKI
	SPKI    []byte // DER
	Expires time.Time
}
