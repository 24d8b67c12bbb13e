package distspec

import (
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/packhouse/packhouse/registry"
)

// tags lists the whole repository unless the client asks for a page: those
// that know no Link header would miss the rest.
func (h *Handler) tags(w http.ResponseWriter, r *http.Request, q Request) error {
	open := `{"name":"` + string(q.Repo) + `","tags":[`
	list := h.reg.Tags(r.Context(), q.Repo, registry.Tag(q.Last))
	if q.N < 0 {
		return writeAll(h, w, r, open, list)
	}
	return writePage(h, w, r, open, list, q.N, "/v2/"+string(q.Repo)+"/tags/list")
}

func (h *Handler) catalog(w http.ResponseWriter, r *http.Request, q Request) error {
	list := h.reg.Repos(r.Context(), registry.Repo(q.Last))
	n := q.N
	if n < 0 {
		n = h.pageSize
	}
	return writePage(h, w, r, `{"repositories":[`, list, n, "/v2/_catalog")
}

// listBuffer is how much of a list is gathered before it is sent.
const listBuffer = 64 << 10

// appendName appends a name, which needs no escaping in JSON, to a list that
// starts at byte start of b.
func appendName[T ~string](b []byte, start int, name T) []byte {
	if len(b) > start {
		b = append(b, ',')
	}
	b = append(b, '"')
	b = append(b, name...)
	return append(b, '"')
}

const closing = `]}`

// writePage writes at most n names, and a Link to the next page if there are more.
func writePage[T ~string](h *Handler, w http.ResponseWriter, r *http.Request, open string, list iter.Seq2[T, error], n int, path string) error {
	n = min(n, h.pageSize)
	b := append(make([]byte, 0, 4<<10), open...)
	var last T
	count, more := 0, false
	for name, err := range list {
		if err != nil {
			return err
		}
		if count == n {
			more = true
			break
		}
		b = appendName(b, len(open), name)
		last = name
		count++
	}
	if more && n > 0 {
		h.setNext(w, r, path, url.Values{"n": {strconv.Itoa(n)}, "last": {string(last)}})
	}
	h.writeJSON(w, http.StatusOK, h.fixed.json, append(b, closing...))
	return nil
}

// setNext sets the Link header of RFC 5988 to the next page.
func (h *Handler) setNext(w http.ResponseWriter, r *http.Request, path string, query url.Values) {
	w.Header()["Link"] = []string{"<" + h.baseURL(r) + path + "?" + query.Encode() + `>; rel="next"`}
}

// writeAll writes every name, however many.
func writeAll[T ~string](h *Handler, w http.ResponseWriter, r *http.Request, open string, list iter.Seq2[T, error]) error {
	b := append(make([]byte, 0, 4<<10), open...)
	start, begun := len(b), false
	h.setCommon(w.Header())
	for name, err := range list {
		if err != nil && !begun {
			return err
		}
		if err != nil {
			h.log.LogAttrs(r.Context(), slog.LevelWarn, "list broke off", slog.Any("error", err))
			panic(http.ErrAbortHandler)
		}
		if longest := len(name) + len(`,""`); cap(b)-len(b) < longest && cap(b) < listBuffer {
			b = slices.Grow(b, listBuffer+longest-len(b)) // at once, not by doubling
		}
		b = appendName(b, start, name)
		if len(b) < listBuffer {
			continue
		}
		if !begun {
			w.Header()["Content-Type"] = h.fixed.json
			begun = true
		}
		if _, err := w.Write(b); err != nil {
			panic(http.ErrAbortHandler) // the client is gone
		}
		b, start = b[:0], -1 // a comma comes next
	}
	b = append(b, closing...)
	if !begun {
		h.writeJSON(w, http.StatusOK, h.fixed.json, b)
		return nil
	}
	_, _ = w.Write(b)
	return nil
}
