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

// kindTable names each kind and the least verb it needs. The registry checks
// again what each operation in fact needs, such as overwrite to move a tag.
// Base has no repository: its verb says that it reads.
var kindTable = [kindCount]struct {
	name string
	verb registry.Verb
}{
	0:              {"none", 0},
	Base:           {"base", registry.Read},
	ManifestGet:    {"manifest_get", registry.Read},
	ManifestHead:   {"manifest_head", registry.Read},
	ManifestPut:    {"manifest_put", registry.Create},
	ManifestDelete: {"manifest_delete", registry.Delete},
	BlobGet:        {"blob_get", registry.Read},
	BlobHead:       {"blob_head", registry.Read},
	BlobDelete:     {"blob_delete", registry.Delete},
	UploadStart:    {"upload_start", registry.Create},
	UploadStatus:   {"upload_status", registry.Create},
	UploadChunk:    {"upload_chunk", registry.Create},
	UploadFinish:   {"upload_finish", registry.Create},
	UploadCancel:   {"upload_cancel", registry.Create},
	Tags:           {"tags", registry.List},
	Referrers:      {"referrers", registry.Read},
	Catalog:        {"catalog", registry.List},
}

// String is the kind's metric label.
func (k Kind) String() string {
	if k < kindCount {
		return kindTable[k].name
	}
	return kindTable[0].name
}

// Verb is the least a principal needs for k; the zero Verb for no kind at all.
func (k Kind) Verb() registry.Verb {
	if k < kindCount {
		return kindTable[k].verb
	}
	return 0
}

// Kinds lists every kind there is.
func Kinds() []Kind {
	kinds := make([]Kind, 0, kindCount-1)
	for k := Base; k < kindCount; k++ {
		kinds = append(kinds, k)
	}
	return kinds
}

// endpoint is one URL form and the methods it takes.
type endpoint []struct {
	method string
	kind   Kind
}

var (
	baseEndpoint      = endpoint{{http.MethodGet, Base}, {http.MethodHead, Base}}
	catalogEndpoint   = endpoint{{http.MethodGet, Catalog}, {http.MethodHead, Catalog}}
	tagsEndpoint      = endpoint{{http.MethodGet, Tags}, {http.MethodHead, Tags}}
	referrersEndpoint = endpoint{{http.MethodGet, Referrers}, {http.MethodHead, Referrers}}
	manifestEndpoint  = endpoint{
		{http.MethodGet, ManifestGet}, {http.MethodHead, ManifestHead},
		{http.MethodPut, ManifestPut}, {http.MethodDelete, ManifestDelete},
	}
	blobEndpoint = endpoint{
		{http.MethodGet, BlobGet}, {http.MethodHead, BlobHead}, {http.MethodDelete, BlobDelete},
	}
	uploadsEndpoint = endpoint{{http.MethodPost, UploadStart}}
	uploadEndpoint  = endpoint{
		{http.MethodGet, UploadStatus}, {http.MethodHead, UploadStatus}, {http.MethodPatch, UploadChunk},
		{http.MethodPut, UploadFinish}, {http.MethodDelete, UploadCancel},
	}
)

func (e endpoint) kind(method string) (Kind, error) {
	for _, m := range e {
		if m.method == method {
			return m.kind, nil
		}
	}
	allow := make(allowed, 0, len(e))
	for _, m := range e {
		allow = append(allow, m.method)
	}
	return 0, registry.E("distspec.Parse", registry.Unsupported, nil,
		"method %q does not apply to this URL", shorten(method)).WithDetail(allow)
}

// allowed is the detail of an error that is about the method: the methods that
// would do. It also becomes the Allow header.
type allowed []string
