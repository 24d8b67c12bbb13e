package pypi

import (
	"context"
	"crypto/md5" //nolint:gosec // compared with what a client says, decides nothing
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"strings"

	"golang.org/x/crypto/blake2b"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

const (
	maxParts        = 20_000   // of a form
	maxField        = 64 << 10 // bytes of a field that is read
	maxAttestations = 1 << 20  // bytes of that field
)

// form is an upload as a client sends it. Fields that only repeat what the
// archive says are not kept.
type form struct {
	action, protocol, filetype string
	name, version              string
	sha256, blake2b, md5       string // hex, "" if not given
	requires                   []string
	attestations               []byte // JSON, nil if not given
	signature                  []byte // armored, nil if not given
	file                       string // the distribution's name
	content                    artifacttypes.Staged
	hashes                     map[string]hash.Hash // of content, of what was asked for by then
	problem                    error                // the first that makes the upload pointless
}

// readForm reads a multipart form whose parts come in any order and streams
// the distribution to the storage. A form that is refused is read to its end,
// or the client would see a broken connection instead of the reason. The
// caller discards the content.
func readForm(r *http.Request, v artifacttypes.View) (*form, error) {
	f := &form{}
	mediaType, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "multipart/form-data" || parameters["boundary"] == "" {
		return f, artifacttypes.Invalid("an upload is a form of type multipart/form-data, as twine, uv and others send it")
	}
	parts := multipart.NewReader(r.Body, parameters["boundary"])
	for n := 0; ; n++ {
		part, err := parts.NextRawPart()
		if err == io.EOF {
			return f, f.problem
		}
		if err != nil {
			return f, badBody(err)
		}
		if n == maxParts {
			return f, artifacttypes.Invalid("the form has more than %d fields", maxParts)
		}
		if err := f.read(r.Context(), part, v); err != nil {
			return f, err
		}
	}
}

// read takes one part. It returns an error only when the rest cannot be read.
func (f *form) read(ctx context.Context, part *multipart.Part, v artifacttypes.View) error {
	name := part.FormName()
	if name == "content" {
		return f.stage(ctx, part, v)
	}
	limit := int64(maxField)
	if name == "attestations" {
		limit = maxAttestations
	}
	if f.problem != nil || !wanted[name] {
		_, err := io.Copy(io.Discard, part)
		return badBody(err)
	}
	value, err := io.ReadAll(io.LimitReader(part, limit+1))
	if err != nil {
		return badBody(err)
	}
	if int64(len(value)) > limit {
		f.problem = artifacttypes.Invalid("the field %s is longer than the %d KiB allowed", name, limit>>10)
		_, err := io.Copy(io.Discard, part)
		return badBody(err)
	}
	f.set(name, value)
	if project, ok := canonicalName(f.name); name == "name" && ok {
		f.problem = v.Account().Allow(ctx, registry.Create, project)
	}
	return nil
}

var wanted = map[string]bool{
	":action": true, "protocol_version": true, "filetype": true, "name": true, "version": true, "sha256_digest": true,
	"blake2_256_digest": true, "md5_digest": true, "requires_dist": true, "attestations": true, "gpg_signature": true,
}

func (f *form) set(name string, value []byte) {
	text := strings.TrimSpace(string(value))
	switch name {
	case ":action":
		f.action = text
	case "protocol_version":
		f.protocol = text
	case "filetype":
		f.filetype = text
	case "name":
		f.name = text
	case "version":
		f.version = text
	case "sha256_digest":
		f.sha256 = strings.ToLower(text)
	case "blake2_256_digest":
		f.blake2b = strings.ToLower(text)
	case "md5_digest":
		f.md5 = strings.ToLower(text)
	case "requires_dist":
		f.requires = append(f.requires, text)
	case "attestations":
		f.attestations = value
	case "gpg_signature":
		f.signature = value
	}
}

// stage takes the distribution itself.
func (f *form) stage(ctx context.Context, part *multipart.Part, v artifacttypes.View) error {
	if f.problem == nil {
		f.file = part.FileName()
		f.problem = f.checkFile()
	}
	if f.problem != nil {
		_, err := io.Copy(io.Discard, part)
		return badBody(err)
	}
	f.hashes = map[string]hash.Hash{}
	if f.blake2b != "" {
		f.hashes["blake2b"] = newBlake2b()
	}
	if f.md5 != "" {
		f.hashes["md5"] = md5.New() //nolint:gosec // as above
	}
	also := make([]hash.Hash, 0, len(f.hashes))
	for _, h := range f.hashes {
		also = append(also, h)
	}
	var err error
	f.content, err = v.Stage(ctx, &bodyReader{part}, also...)
	return err
}

// checkFile refuses what need not be stored to be refused.
func (f *form) checkFile() error {
	if f.content != nil {
		return artifacttypes.Invalid("the form has two files: upload them one by one")
	}
	k, err := kindOf(f.file)
	if err != nil {
		return err
	}
	if k != wheelKind && k != sdistKind {
		return artifacttypes.Invalid("%s is no distribution: send it with the one that it is about", f.file)
	}
	return nil
}

func newBlake2b() hash.Hash {
	h, _ := blake2b.New256(nil) // fails for keys only
	return h
}

// checkDigests compares the content with the digests that the client gives. A
// digest that came behind the content takes another reading.
func (f *form) checkDigests() error {
	given := []struct {
		field, want, name string
		hash              func() hash.Hash
	}{
		{"blake2_256_digest", f.blake2b, "blake2b", newBlake2b},
		{"md5_digest", f.md5, "md5", md5.New},
	}
	if got := f.content.Descriptor().Digest.Encoded(); f.sha256 != "" && f.sha256 != got {
		return badDigest(f.file, "sha256_digest", f.sha256, got)
	}
	for _, d := range given {
		if d.want == "" {
			continue
		}
		h := f.hashes[d.name]
		if h == nil {
			h = d.hash()
			if _, err := io.Copy(h, io.NewSectionReader(f.content, 0, f.content.Descriptor().Size)); err != nil {
				return err
			}
		}
		if got := hex.EncodeToString(h.Sum(nil)); got != d.want {
			return badDigest(f.file, d.field, d.want, got)
		}
	}
	return nil
}

func badDigest(file, field, want, got string) error {
	return registry.E("pypi.upload", registry.DigestInvalid, nil, "%s arrived with another content than its %s says: %s instead of %s; send it again", file, field, got, clip(want))
}

// bodyReader marks errors of the request's body, so that they are told apart
// from those of the storage.
type bodyReader struct{ r io.Reader }

func (b *bodyReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = badBody(err)
	}
	return n, err
}

// badBody says what is wrong with a body that cannot be read on; nil for nil.
func badBody(err error) error {
	const op = "pypi.upload"
	if err == nil {
		return nil
	}
	if own, ok := errors.AsType[*registry.Error](err); ok {
		return own
	}
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return registry.E(op, registry.TooLarge, err, "the upload is larger than the %d bytes allowed", tooLarge.Limit)
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return registry.E(op, registry.Timeout, err, "the upload stopped arriving: send it again")
	}
	// Without err, which the storage would take for the end of the whole body.
	return registry.E(op, registry.SizeInvalid, nil, "the form broke off or is not well-formed: send it again")
}
