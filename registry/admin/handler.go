package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/packhouse/packhouse/registry"
)

// Options say how operations are served.
type Options struct {
	MaxBody int64 // bytes of a request's body
	Log     *slog.Logger
}

// API serves the operations: to clients, whom the server has authenticated and
// put into the context ([registry.WithCaller]), and on the operator's socket.
type API struct {
	o      Options
	env    *Env
	routes routes
}

// New serves the table over env. It fails on a table whose author forgot
// something.
func New(env *Env, o Options) (*API, error) {
	return newAPI(env, o, Operations())
}

func newAPI(env *Env, o Options, table []Operation) (*API, error) {
	if env.Gate == nil {
		return nil, errors.New("admin: operations need a gate")
	}
	seen := map[string]bool{}
	for i := range table {
		op := &table[i]
		if err := op.problem(); err != nil {
			return nil, err
		}
		for _, name := range []string{op.Name, op.Method + " " + op.Path} {
			if seen[name] {
				return nil, fmt.Errorf("operation %s is there twice", name)
			}
			seen[name] = true
		}
	}
	return &API{o: o, env: env, routes: newRoutes(table)}, nil
}

// Operation names the operation that r asks for; "" for none.
func (a *API) Operation(r *http.Request) string {
	if op, _, _, err := a.routes.find(r); err == nil {
		return op.Name
	}
	return ""
}

// ServeHTTP runs an operation for the caller in the request's context.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.serve(w, r, false) }

// Socket runs every operation as the operator. Whoever may connect to it may
// do everything.
func (a *API) Socket() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.serve(w, r, true) })
}

func (a *API) serve(w http.ResponseWriter, r *http.Request, operator bool) {
	out := newAnswer(w, r)
	op, values, allow, err := a.routes.find(r)
	if err != nil {
		if allow != nil {
			w.Header()["Allow"] = allow
		}
		out.fail(registry.Public(err))
		return
	}
	ctx := r.Context()
	if operator {
		ctx = asOperator(ctx, op.Name)
	} else {
		caller := *registry.CallerOf(ctx)
		caller.Route = op.Name
		ctx = registry.WithCaller(ctx, &caller)
	}
	raw, err := op.gather(w, r, values, a.o.MaxBody)
	params, result, err := op.perform(ctx, a.env, raw, err, out.progress)
	if err != nil {
		e := *registry.Public(err)
		if e.Code == registry.Internal {
			a.o.Log.ErrorContext(ctx, "operation failed", "operation", op.Name, "err", err)
			if operator { // who may use the socket may read the log
				e.Message = Cause(&e).Error()
			}
		}
		if e.Code == registry.Unauthorized {
			challenge(w.Header())
		}
		out.fail(&e)
		return
	}
	if op.next != nil {
		if after, more := op.next(params, result); more {
			w.Header().Set("Link", nextLink(r.URL, after))
		}
	}
	body, err := json.Marshal(result)
	if err != nil {
		a.o.Log.ErrorContext(ctx, "result not encoded", "operation", op.Name, "err", err)
		out.fail(registry.Public(err))
		return
	}
	out.finish(op.Status, body)
}

func nextLink(u *url.URL, after string) string {
	q := u.Query()
	q.Set("after", after)
	return "<" + u.EscapedPath() + "?" + q.Encode() + `>; rel="next"`
}

// challenge names the ways to log in, RFC 9110 section 11.6.1.
func challenge(h http.Header) {
	h["Www-Authenticate"] = []string{`Basic realm="Packhouse", charset="UTF-8"`, `Bearer realm="Packhouse"`}
}

// Cause is what an operator wants to know of err: the foreign error inside an
// internal one, the sentence of any other.
func Cause(e *registry.Error) error {
	if e.Code == registry.Internal && e.Err != nil {
		return e.Err
	}
	return errors.New(e.Message)
}
