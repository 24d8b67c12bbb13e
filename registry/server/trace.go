package server

import (
	"context"
	"net/http"

	"github.com/packhouse/packhouse/registry/distspec"
	"github.com/packhouse/packhouse/registry/feed"
)

// traced returns r's context, with a span where requests are traced. Probes
// are not: they would be most of what a quiet server sends away.
func (h *handler) traced(x *exchange, r *http.Request) context.Context {
	if h.tracing == nil || h.probes.at(r.URL.EscapedPath()) != nil {
		return r.Context()
	}
	ctx, span := h.tracing.Begin(r.Context(), r.Header, r.Method)
	x.span, x.request.TraceID = span, span.TraceID()
	return ctx
}

// pathTemplate says which form of URL a request had: as many as there are
// routes. It is put together only for a span.
type pathTemplate struct {
	kind    distspec.Kind
	prefix  string // of a mount
	format  string // of a feed
	pattern string // below the feed
	api     bool
}

func (p *pathTemplate) feed(t feed.Target) {
	p.format = t.Format()
	p.pattern, p.api = t.Pattern()
}

// String is the attribute http.route: "/v2/{name}/tags/list". It is "" where
// no route was found.
func (p *pathTemplate) String() string {
	switch {
	case p.pattern != "" && p.api:
		return "/api/{namespace}/" + p.format + p.pattern
	case p.pattern != "":
		return "/{namespace}/" + p.format + p.pattern
	case p.prefix != "":
		return p.prefix
	}
	switch p.kind {
	case distspec.Base:
		return "/v2/"
	case distspec.ManifestGet, distspec.ManifestHead, distspec.ManifestPut, distspec.ManifestDelete:
		return "/v2/{name}/manifests/{reference}"
	case distspec.BlobGet, distspec.BlobHead, distspec.BlobDelete:
		return "/v2/{name}/blobs/{digest}"
	case distspec.UploadStart:
		return "/v2/{name}/blobs/uploads/"
	case distspec.UploadStatus, distspec.UploadChunk, distspec.UploadFinish, distspec.UploadCancel:
		return "/v2/{name}/blobs/uploads/{upload}"
	case distspec.Tags:
		return "/v2/{name}/tags/list"
	case distspec.Referrers:
		return "/v2/{name}/referrers/{digest}"
	case distspec.Catalog:
		return "/v2/_catalog"
	default:
		return ""
	}
}

func schemeOf(x *exchange) string {
	if x.encoded {
		return "https"
	}
	return "http"
}
