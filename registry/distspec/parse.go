package distspec

import (
	"net/url"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/packhouse/packhouse/registry"
)

// Request is one call of the API. Which fields are set depends on its Kind.
type Request struct {
	Kind Kind
	Verb registry.Verb
	Repo registry.Repo // "" for Base and Catalog

	// Of the path.
	Tag      registry.Tag    // Manifest*: Tag or Digest
	Digest   registry.Digest // Manifest*, Blob*, Referrers; by query UploadStart (or "") and UploadFinish
	UploadID string          // Upload* but UploadStart

	// Of the query.
	Tags         []registry.Tag   // ManifestPut: the tags asked for by "tag"
	Mount        registry.Digest  // UploadStart: the blob to mount, or ""
	From         registry.Repo    // UploadStart: where to mount from, "" for anywhere
	Algorithm    digest.Algorithm // UploadStart: of "digest-algorithm", sha256 if absent
	ArtifactType string           // Referrers: the filter, or ""
	N            int              // Tags, Referrers, Catalog: -1 if absent
	Last         string           // Tags, Referrers, Catalog: a legal tag, digest or repository, or ""
}

// Parse reads method and the escaped path of u. Endpoints are told apart from
// the right-hand end of the path, because a repository may be called
// "a/blobs/uploads" or "a/manifests". Only the last segment, a tag, digest or
// session id, may be percent-encoded. It returns NAME_INVALID,
// MANIFEST_INVALID for a bad tag, DIGEST_INVALID, UNSUPPORTED with the methods
// that would do as detail, or an error that renders as 400 or 404.
func Parse(method string, u *url.URL) (Request, error) {
	path := u.EscapedPath()
	if path == "/v2" {
		path = "/v2/"
	}
	rest, ok := strings.CutPrefix(path, "/v2/")
	if !ok {
		return Request{}, unknownPath()
	}
	p, err := split(rest)
	if err != nil {
		return Request{}, err
	}
	q := Request{N: -1}
	if q.Kind, err = p.endpoint.kind(method); err != nil {
		return Request{}, err
	}
	q.Verb = q.Kind.Verb()
	if q.Kind != Base && q.Kind != Catalog {
		if q.Repo, err = parseRepo(p.repo); err != nil {
			return Request{}, err
		}
	}
	if err := q.setLast(p.last); err != nil {
		return Request{}, err
	}
	if err := q.setQuery(u.RawQuery); err != nil {
		return Request{}, err
	}
	return q, nil
}

// place is where a path leads.
type place struct {
	endpoint endpoint
	repo     string
	last     string // what follows the endpoint's word, escaped
}

// split takes the path after "/v2/" apart.
func split(rest string) (place, error) {
	switch rest {
	case "":
		return place{endpoint: baseEndpoint}, nil
	case "_catalog":
		return place{endpoint: catalogEndpoint}, nil
	}
	head, last := cutLast(rest)
	repo, word := cutLast(head)
	switch word {
	case "manifests":
		return place{manifestEndpoint, repo, last}, nil
	case "referrers":
		return place{referrersEndpoint, repo, last}, nil
	case "tags":
		if last == "list" {
			return place{tagsEndpoint, repo, ""}, nil
		}
	case "blobs":
		if last == "uploads" { // without the slash that the specification has
			return place{uploadsEndpoint, repo, ""}, nil
		}
		return place{blobEndpoint, repo, last}, nil
	case "uploads":
		if repo, word = cutLast(repo); word != "blobs" {
			break
		}
		if last == "" {
			return place{uploadsEndpoint, repo, ""}, nil
		}
		return place{uploadEndpoint, repo, last}, nil
	}
	return place{}, unknownPath()
}

// cutLast splits s before its last slash.
func cutLast(s string) (head, last string) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return "", s
	}
	return s[:i], s[i+1:]
}

func unknownPath() error {
	return registry.E("distspec.Parse", pathUnknown, nil, "there is no such endpoint: see the OCI distribution specification for those there are")
}

func parseRepo(s string) (registry.Repo, error) {
	if strings.IndexByte(s, '%') >= 0 {
		return "", registry.E("distspec.Parse", registry.NameInvalid, nil,
			"repository name %q is percent-encoded: no legal name needs that", shorten(s))
	}
	return registry.ParseRepo(s)
}

// setLast fills in what the last segment of the path names.
func (q *Request) setLast(escaped string) error {
	last := escaped
	if strings.IndexByte(escaped, '%') >= 0 {
		var err error
		if last, err = url.PathUnescape(escaped); err != nil {
			return unknownPath()
		}
	}
	var err error
	switch q.Kind {
	case ManifestGet, ManifestHead, ManifestPut, ManifestDelete:
		if strings.IndexByte(last, ':') >= 0 {
			q.Digest, err = registry.ParseDigest(last)
		} else {
			q.Tag, err = registry.ParseTag(last)
		}
	case BlobGet, BlobHead, BlobDelete, Referrers:
		q.Digest, err = registry.ParseDigest(last)
	case UploadStatus, UploadChunk, UploadFinish, UploadCancel:
		if !legalUploadID(last) {
			return registry.E("distspec.Parse", registry.BlobUploadUnknown, nil, "there is no upload session %q: start again", shorten(last))
		}
		q.UploadID = last
	default: // the path says no more
	}
	return err
}

// legalUploadID bounds what is looked up, not what sessions are called.
func legalUploadID(s string) bool {
	const longest = 128
	if s == "" || len(s) > longest {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// shorten keeps a client's own words short in the sentence sent back.
func shorten(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
