package admin

import (
	"encoding/json"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/packhouse/packhouse/registry"
)

const linesType = "application/jsonl"

// line is one line of an answer in lines; exactly one field is set.
type line struct {
	Progress *Progress       `json:"progress,omitempty"`
	Result   json.RawMessage `json:"result,omitempty"`
	Error    *Problem        `json:"error,omitempty"`
}

// Problem is the body of an answer that is an error.
type Problem struct {
	Code    registry.Code `json:"code" doc:"what went wrong, for programs"`
	Message string        `json:"message" doc:"what went wrong and what to do, in one sentence"`
	Detail  any           `json:"detail,omitempty" doc:"more about it, depending on the code"`
}

// answer writes what became of an operation: one JSON value with a status, or
// lines, which begin with the first progress. Work may report progress from
// several goroutines.
type answer struct {
	mu    sync.Mutex
	w     http.ResponseWriter
	head  bool
	lines bool      // the client takes them
	begun bool      // the status is on its way: all else must be lines
	last  time.Time // of the last progress line
	phase string
}

func newAnswer(w http.ResponseWriter, r *http.Request) *answer {
	return &answer{w: w, head: r.Method == http.MethodHead, lines: accepts(r.Header.Values("Accept"), linesType)}
}

func accepts(accept []string, want string) bool {
	for _, value := range accept {
		for one := range strings.SplitSeq(value, ",") {
			if media, _, err := mime.ParseMediaType(one); err == nil && media == want {
				return true
			}
		}
	}
	return false
}

// progressEvery is as often as anybody looks.
const progressEvery = 100 * time.Millisecond

func (a *answer) progress(p Progress) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if !a.lines || a.head || p.Phase == a.phase && now.Sub(a.last) < progressEvery && (p.Total == 0 || p.Done < p.Total) {
		return
	}
	a.last, a.phase = now, p.Phase
	a.put(line{Progress: &p})
}

// put fails only when the client is gone, which also ends the request's
// context and so the operation.
func (a *answer) put(v line) {
	if !a.begun {
		a.begun = true
		a.header(linesType)
	}
	_ = json.NewEncoder(a.w).Encode(v)
	_ = http.NewResponseController(a.w).Flush()
}

func (a *answer) header(contentType string) {
	h := a.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
}

// finish answers success.
func (a *answer) finish(status int, result json.RawMessage) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.begun:
		a.put(line{Result: result})
	case status == http.StatusNoContent:
		a.w.Header().Set("Cache-Control", "no-store")
		a.w.WriteHeader(status)
	default:
		a.whole(status, result)
	}
}

// fail answers an error.
func (a *answer) fail(e *registry.Error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := &Problem{Code: e.Code, Message: e.Message, Detail: e.Detail}
	if a.begun {
		a.put(line{Error: p})
		return
	}
	body, err := json.Marshal(p)
	if err != nil {
		p.Detail = nil
		body, _ = json.Marshal(p) // of strings alone
	}
	status := e.Code.HTTPStatus()
	if after := e.RetryAfter(status); after != "" && a.w.Header().Get("Retry-After") == "" {
		a.w.Header().Set("Retry-After", after)
	}
	a.whole(status, body)
}

func (a *answer) whole(status int, body []byte) {
	a.header(jsonType)
	a.w.Header().Set("Content-Length", strconv.Itoa(len(body)+1))
	a.w.WriteHeader(status)
	if !a.head {
		_, _ = a.w.Write(append(body, '\n')) // fails when the client is gone
	}
}
