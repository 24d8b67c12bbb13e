package pypi

import (
	"cmp"
	"net/http"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// Conditions that only this protocol has.
const (
	notAcceptable registry.Code = "NOT_ACCEPTABLE" // 406
	gone          registry.Code = "GONE"           // 410: an action that no index takes any more
)

// WriteError answers with one sentence of text, which every client prints or
// has a flag to print; see [artifacttypes.Format].
func (Format) WriteError(w http.ResponseWriter, r *http.Request, e *registry.Error) {
	status := artifacttypes.ErrorHeader(w, e)
	switch e.Code {
	case notAcceptable:
		status = http.StatusNotAcceptable
	case gone:
		status = http.StatusGone
	default: // as everywhere
	}
	message := cmp.Or(e.Message, http.StatusText(status))
	artifacttypes.SetReason(w, message) // all that twine shows
	artifacttypes.WriteBody(w, r, status, "text/plain; charset=utf-8", []byte(message+"\n"))
}
