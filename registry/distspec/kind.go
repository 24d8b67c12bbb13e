package distspec

import (
	"net/http"

	"github.com/packhouse/packhouse/registry"
)

// Kind is one operation of the API: the label of metrics and what access is
// decided by.
type Kind uint8

// The kinds of request. The zero Kind is none.
const (
	_ Kind = iota
	Base
	ManifestGet
	ManifestHead
	ManifestPut
	ManifestDelete
	BlobGet
	BlobHead
	BlobDelete
	UploadStart
	UploadStatus
	UploadChunk
	UploadFinish
	UploadCancel
	Tags
	Referrers
	Catalog
	kindCount
)

// traits is the table of what each kind is called and the least verb it needs.
// The registry checks again what each operation in fact needs, such as
// overwrite to move a tag. Base has no repository: its verb says that it reads.
func (k Kind) traits() (name string, verb registry.Verb) {
	switch k {
	case Base:
		return "base", registry.Read
	case ManifestGet:
		return "manifest_get", registry.Read
	case ManifestHead:
		return "manifest_head", registry.Read
	case ManifestPut:
		return "manifest_put", registry.Create
	case ManifestDelete:
		return "manifest_delete", registry.Delete
	case BlobGet:
		return "blob_get", registry.Read
	case BlobHead:
		return "blob_head", registry.Read
	case BlobDelete:
		return "blob_delete", registry.Delete
	case UploadStart:
		return "upload_start", registry.Create
	case UploadStatus:
		return "upload_status", registry.Create
	case UploadChunk:
		return "upload_chunk", registry.Create
	case UploadFinish:
		return "upload_finish", registry.Create
	case UploadCancel:
		return "upload_cancel", registry.Create
	case Tags:
		return "tags", registry.List
	case Referrers:
		return "referrers", registry.Read
	case Catalog:
		return "catalog", registry.List
	case kindCount:
	}
	return "none", 0
}

// String is the kind's metric label.
func (k Kind) String() string {
	name, _ := k.traits()
	return name
}

// Verb is the least a principal needs for k; the zero Verb for no kind at all.
func (k Kind) Verb() registry.Verb {
	_, verb := k.traits()
	return verb
}

// Kinds lists every kind there is.
func Kinds() []Kind {
	kinds := make([]Kind, 0, kindCount-1)
	for k := Base; k < kindCount; k++ {
		kinds = append(kinds, k)
	}
	return kinds
}

// endpoint is one form of URL.
type endpoint uint8

const (
	baseEndpoint endpoint = iota
	catalogEndpoint
	tagsEndpoint
	referrersEndpoint
	manifestEndpoint
	blobEndpoint
	uploadsEndpoint
	uploadEndpoint
)

// accepts returns the kind of request that method makes of e, 0 for none.
func (e endpoint) accepts(method string) Kind {
	reads := method == http.MethodGet || method == http.MethodHead
	switch {
	case e == baseEndpoint && reads:
		return Base
	case e == catalogEndpoint && reads:
		return Catalog
	case e == tagsEndpoint && reads:
		return Tags
	case e == referrersEndpoint && reads:
		return Referrers
	case e == uploadEndpoint && reads:
		return UploadStatus
	case e == uploadsEndpoint && method == http.MethodPost:
		return UploadStart
	case e == manifestEndpoint:
		switch method {
		case http.MethodGet:
			return ManifestGet
		case http.MethodHead:
			return ManifestHead
		case http.MethodPut:
			return ManifestPut
		case http.MethodDelete:
			return ManifestDelete
		}
	case e == blobEndpoint:
		switch method {
		case http.MethodGet:
			return BlobGet
		case http.MethodHead:
			return BlobHead
		case http.MethodDelete:
			return BlobDelete
		}
	case e == uploadEndpoint:
		switch method {
		case http.MethodPatch:
			return UploadChunk
		case http.MethodPut:
			return UploadFinish
		case http.MethodDelete:
			return UploadCancel
		}
	}
	return 0
}

func (e endpoint) kind(method string) (Kind, error) {
	if k := e.accepts(method); k != 0 {
		return k, nil
	}
	var allow allowed
	for _, m := range []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodPut, http.MethodDelete,
	} {
		if e.accepts(m) != 0 {
			allow = append(allow, m)
		}
	}
	return 0, registry.E("distspec.Parse", registry.Unsupported, nil,
		"method %q does not apply to this URL", shorten(method)).WithDetail(allow)
}

// allowed is the detail of an error that is about the method: the methods that
// would do. It also becomes the Allow header.
type allowed []string
