package registry

import (
	"context"
	"io"
	"iter"

	"github.com/opencontainers/go-digest"
)

// Registry is one OCI registry as one caller sees it. The engine, upstream
// clients and every filter implement it; a protocol handler serves any of it.
//
// Every method may also return UNAUTHORIZED, DENIED, UNAVAILABLE and, for
// writes, NO_SPACE. Foreign errors mean UNKNOWN.
type Registry interface {
	Reader
	Writer
	Deleter
	Lister
	sealed() // embed Unimplemented: the interface can grow, and filters fail closed
}

// Reader reads content.
type Reader interface {
	// StatBlob describes blob d of r; MediaType is application/octet-stream.
	// It returns NAME_UNKNOWN, BLOB_UNKNOWN.
	StatBlob(ctx context.Context, r Repo, d Digest) (Descriptor, error)
	// Blob opens n bytes of blob d from off; n < 0 means to the end. The
	// reader never ends cleanly before n bytes. It implements io.WriterTo, by
	// which the bytes go out by sendfile where the storage is a local file.
	// ctx governs the reader's life. It returns NAME_UNKNOWN, BLOB_UNKNOWN,
	// RANGE_INVALID.
	Blob(ctx context.Context, r Repo, d Digest, off, n int64) (io.ReadCloser, error)
	// Manifest returns manifest d of r. The caller must not change Raw.
	// It returns NAME_UNKNOWN, MANIFEST_UNKNOWN.
	Manifest(ctx context.Context, r Repo, d Digest) (Manifest, error)
	// Tagged returns the manifest that t points to. For a referrers tag
	// (see [ReferrersTag]) that nobody pushed it is computed.
	// It returns NAME_UNKNOWN, MANIFEST_UNKNOWN.
	Tagged(ctx context.Context, r Repo, t Tag) (Manifest, error)
}

// Writer adds content. What it returned without error is durable.
type Writer interface {
	// PutBlob stores body as one blob of r in one step. want "" accepts any
	// content and names it by sha256. When body ends early, or hashes to
	// something else, nothing is kept. It returns DIGEST_INVALID, TOO_LARGE.
	PutBlob(ctx context.Context, r Repo, body io.Reader, want Digest) (Descriptor, error)
	// BeginUpload opens a resumable upload session of r.
	BeginUpload(ctx context.Context, r Repo, a digest.Algorithm) (Upload, error)
	// ResumeUpload finds the session id of r. It returns BLOB_UPLOAD_UNKNOWN.
	ResumeUpload(ctx context.Context, r Repo, id string) (Upload, error)
	// Mount makes blob d of from a blob of to; from "" means any repository
	// that the caller may read. It returns BLOB_UNKNOWN.
	Mount(ctx context.Context, from, to Repo, d Digest) (Descriptor, error)
	// PutManifest stores m and moves o.Tags to it in one commit. m.MediaType
	// may be empty. It returns MANIFEST_INVALID, MANIFEST_BLOB_UNKNOWN,
	// DIGEST_INVALID, PRECONDITION_FAILED, TOO_LARGE.
	PutManifest(ctx context.Context, r Repo, m Manifest, o PutOptions) (PutResult, error)
}

// Deleter removes content. Tags and manifests can be restored until the trash
// window ends.
type Deleter interface {
	// DeleteTag returns NAME_UNKNOWN, MANIFEST_UNKNOWN, PRECONDITION_FAILED.
	DeleteTag(ctx context.Context, r Repo, t Tag, c Condition) error
	// DeleteManifest removes d and every tag that points to it. It returns
	// NAME_UNKNOWN, MANIFEST_UNKNOWN, PRECONDITION_FAILED, REFERENCED.
	DeleteManifest(ctx context.Context, r Repo, d Digest, c Condition) error
	// DeleteBlob returns NAME_UNKNOWN, BLOB_UNKNOWN, REFERENCED.
	DeleteBlob(ctx context.Context, r Repo, d Digest) error
}

// Lister lists names in ascending byte order, starting after the given one.
// A sequence yields at most one error, as its last element.
type Lister interface {
	// Repos lists the repositories the caller may see.
	Repos(ctx context.Context, after Repo) iter.Seq2[Repo, error]
	// Tags yields NAME_UNKNOWN.
	Tags(ctx context.Context, r Repo, after Tag) iter.Seq2[Tag, error]
	// Referrers lists, by digest, the manifests of r whose subject is the
	// given digest, of one artifactType unless that is "". A subject or
	// repository that is not there has none.
	Referrers(ctx context.Context, r Repo, subject Digest, artifactType string, after Digest) iter.Seq2[Descriptor, error]
}

// Upload is one upload session. It is used by one request at a time; another
// replica may continue it after that.
type Upload interface {
	ID() string
	// Size is how many bytes are saved: the offset where the next body starts.
	Size() int64
	// Append saves body as the next segment and returns the new size. at is
	// the offset the client believes it is at, -1 when it did not say. What
	// arrived before body failed is kept, so that the client can resume.
	// It returns RANGE_INVALID, BLOB_UPLOAD_UNKNOWN, TOO_LARGE.
	Append(ctx context.Context, body io.Reader, at int64) (int64, error)
	// Commit appends body, which may be nil, and turns the session into blob
	// want. On DIGEST_INVALID the session and its bytes are gone; on
	// RANGE_INVALID it is as it was.
	Commit(ctx context.Context, body io.Reader, at int64, want Digest) (Descriptor, error)
	// Abort drops the session and its bytes.
	Abort(ctx context.Context) error
}

// PutOptions says which names a pushed manifest gets.
type PutOptions struct {
	Tags []Tag
	// If must hold for each of Tags, or, when there are none, for the digest.
	If Condition
}

// PutResult is what PutManifest did.
type PutResult struct {
	Descriptor
	Subject Digest // the manifest's subject, "" if it has none
}

// Unimplemented seals [Registry]: embed it, and a method that is added later
// fails closed.
type Unimplemented struct{}

func (Unimplemented) sealed() {}
