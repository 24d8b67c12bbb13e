package artifacttypes

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/packhouse/packhouse/registry"
)

// Receive stores a request's body as a file to publish. It returns what Stage
// does, MANIFEST_INVALID for a part of a file and DIGEST_INVALID as
// [CheckSums]. The caller must discard the content.
func Receive(r *http.Request, v View, name string) (DraftFile, error) {
	if r.Header.Get("Content-Range") != "" { // RFC 9110, section 14.5
		return DraftFile{}, Invalid("a file is uploaded whole: send all of it, without Content-Range")
	}
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || !strings.Contains(mediaType, "/") || isOCI(mediaType) {
		mediaType = "application/octet-stream"
	}
	content, err := v.Stage(r.Context(), r.Body)
	if err != nil {
		return DraftFile{}, err
	}
	if err := CheckSums(r.Header, content.Sums()); err != nil {
		content.Discard()
		return DraftFile{}, err
	}
	return DraftFile{Name: name, MediaType: mediaType, Content: content}, nil
}

// isOCI tells whether a type means something to OCI: a layer that is said to be
// of an image, or to be kept elsewhere, would be treated as such.
func isOCI(mediaType string) bool {
	return strings.HasPrefix(mediaType, "application/vnd.oci.") || strings.HasPrefix(mediaType, "application/vnd.docker.")
}

// FindFile returns a release and one of its files. It returns NAME_UNKNOWN,
// MANIFEST_UNKNOWN, BLOB_UNKNOWN.
func FindFile(ctx context.Context, v View, pkg, version, name string) (*registry.Release, registry.File, error) {
	rel, err := v.Release(ctx, pkg, version)
	if err != nil {
		return nil, registry.File{}, err
	}
	f, ok := rel.File(name)
	if !ok {
		err = registry.E("artifacttypes.FindFile", registry.BlobUnknown, nil, "version %s of %s has no file %s", version, pkg, name)
	}
	return rel, f, err
}

// Precondition reads If-Match and If-None-Match of a write. Entity tags are
// quoted digests; a weak one never matches.
func Precondition(h http.Header) registry.Condition {
	tags := func(fields []string) []string {
		if len(fields) == 0 {
			return nil
		}
		list := strings.Split(strings.Join(fields, ","), ",")
		for i, tag := range list { // one that is not well-formed stays, and matches nothing
			list[i] = strings.Trim(tag, " \t\"")
		}
		return list
	}
	return registry.Condition{Match: tags(h["If-Match"]), NoneMatch: tags(h["If-None-Match"])}
}

// algorithms are those of checksums, by the names of RFC 9530.
var algorithms = []struct{ field, sum string }{
	{"sha-256", "sha256"}, {"sha-512", "sha512"}, {"md5", "md5"}, {"sha", "sha1"},
}

// CheckSums compares what a request's header says of its body, in Repr-Digest
// and Content-Digest (RFC 9530), Content-MD5 (RFC 1864) and X-Checksum-Sha256,
// -Sha512, -Sha1, -Md5, with the checksums of what came, in lower-case hex. It
// returns DIGEST_INVALID. What is said by an algorithm that sums lacks is not
// looked at.
func CheckSums(h http.Header, sums map[string]string) error {
	claims := strings.Split(strings.Join(slices.Concat(h["Repr-Digest"], h["Content-Digest"]), ","), ",")
	for _, sum := range h["Content-Md5"] {
		claims = append(claims, "md5=:"+strings.TrimSpace(sum)+":")
	}
	for _, a := range algorithms {
		is, known := sums[a.sum]
		if !known {
			continue
		}
		for _, sum := range h.Values("X-Checksum-" + a.sum) {
			if !strings.EqualFold(strings.TrimSpace(sum), is) {
				return mismatch(a.sum, is)
			}
		}
		for _, claim := range claims {
			value, ok := strings.CutPrefix(strings.TrimSpace(claim), a.field+"=")
			if value, _, _ = strings.Cut(value, ";"); ok && value != byteSequence(is) {
				return mismatch(a.sum, is)
			}
		}
	}
	return nil
}

func mismatch(algorithm, is string) error {
	return registry.E("artifacttypes.CheckSums", registry.DigestInvalid, nil,
		"the content that came has %s %s and not what the request's header says: send the whole file again", algorithm, is)
}

// SetFile says in an answer's header what a file is: ETag, Last-Modified,
// Repr-Digest (RFC 9530) and X-Checksum-*.
func SetFile(h http.Header, f registry.File) {
	h.Set("ETag", `"`+f.Digest.String()+`"`)
	h.Set("Last-Modified", f.Added.UTC().Format(http.TimeFormat))
	var digests []string
	for _, a := range algorithms {
		if sum := f.Facts.Sums[a.sum]; sum != "" {
			h.Set("X-Checksum-"+a.sum, sum)
			if strings.HasPrefix(a.field, "sha-") { // the RFC deprecates the others
				digests = append(digests, a.field+"="+byteSequence(sum))
			}
		}
	}
	if len(digests) > 0 {
		h.Set("Repr-Digest", strings.Join(digests, ", "))
	}
}

// WriteUploaded answers an upload with the [Entry] of the file: 201 Created if
// it is new, else 200.
func WriteUploaded(w http.ResponseWriter, r *http.Request, f registry.File, isNew bool) error {
	status := http.StatusOK
	if isNew {
		status = http.StatusCreated
	}
	SetFile(w.Header(), f)
	return WriteJSON(w, r, status, FileEntries([]registry.File{f})[0])
}

// byteSequence is text in hexadecimal as RFC 8941 writes bytes.
func byteSequence(text string) string {
	b, err := hex.DecodeString(text)
	if err != nil {
		return ""
	}
	return ":" + base64.StdEncoding.EncodeToString(b) + ":"
}

// CheckPath refuses segments that cannot be part of a path on every system.
func CheckPath(segments ...string) error {
	const longest = 255 // bytes, on most file systems
	for _, s := range segments {
		if s == "" || s == "." || s == ".." || len(s) > longest || !utf8.ValidString(s) ||
			strings.ContainsFunc(s, func(r rune) bool { return r == '/' || r == '\\' || unicode.IsControl(r) }) {
			return Invalid("%.80q cannot be a part of a path: use 1 to %d bytes of text without slashes, and not '.' or '..'", s, longest)
		}
	}
	return nil
}
