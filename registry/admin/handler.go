package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/packhouse/packhouse/registry"
)

// Prefix is the path below which operations lie on the socket.
const Prefix = "/-/api/v1/ops/"

// line is one line of an answer; exactly one field is set.
type line struct {
	Progress *Progress       `json:"progress,omitempty"`
	Result   json.RawMessage `json:"result,omitempty"`
	Error    *wireError      `json:"error,omitempty"`
}

type wireError struct {
	Code    registry.Code `json:"code"`
	Message string        `json:"message"`
	Detail  any           `json:"detail,omitempty"`
}

// NewHandler serves the operations over env. Parameters larger than maxBody
// bytes are refused.
func NewHandler(env *Env, maxBody int64, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+Prefix+"{name}", func(w http.ResponseWriter, r *http.Request) {
		out := &lines{w: w, flush: http.NewResponseController(w)}
		w.Header().Set("Content-Type", "application/jsonl")
		params, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			out.fail(r.Context(), log, registry.E("admin", registry.TooLarge, err, "the parameters could not be read, or are larger than %d bytes", maxBody))
			return
		}
		result, err := Local{env}.call(r.Context(), r.PathValue("name"), params, out.progress)
		if err != nil {
			out.fail(r.Context(), log, err)
			return
		}
		out.write(line{Result: result})
	})
	return mux
}

// lines writes an answer. Work may report progress from several goroutines.
type lines struct {
	mu    sync.Mutex
	w     io.Writer
	flush *http.ResponseController
	last  time.Time // of the last progress line
	phase string
}

// progressEvery is as often as anybody looks.
const progressEvery = 100 * time.Millisecond

func (l *lines) progress(p Progress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if p.Phase == l.phase && now.Sub(l.last) < progressEvery && (p.Total == 0 || p.Done < p.Total) {
		return
	}
	l.last, l.phase = now, p.Phase
	l.put(line{Progress: &p})
}

func (l *lines) write(v line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.put(v)
}

// put fails only when the client is gone, which also ends the request's
// context and so the operation.
func (l *lines) put(v line) {
	_ = json.NewEncoder(l.w).Encode(v)
	_ = l.flush.Flush()
}

// Cause is what an operator wants to know of err: the foreign error inside an
// internal one, the sentence of any other.
func Cause(e *registry.Error) error {
	if e.Code == registry.Internal && e.Err != nil {
		return e.Err
	}
	return errors.New(e.Message)
}

func (l *lines) fail(ctx context.Context, log *slog.Logger, err error) {
	e := registry.Public(err)
	message := e.Message
	if e.Code == registry.Internal {
		log.ErrorContext(ctx, "operation failed", "error", err)
		message = Cause(e).Error() // whoever may use the socket may read the log
	}
	l.write(line{Error: &wireError{Code: e.Code, Message: message, Detail: e.Detail}})
}
