package admin

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/packhouse/packhouse/registry"
)

// Progress says how far long work has come.
type Progress struct {
	Phase string `json:"phase" doc:"what is being done: \"blobs\""`
	Done  int64  `json:"done" doc:"units finished"`
	Total int64  `json:"total,omitempty" doc:"units in all, 0 while that is unknown"`
	Unit  string `json:"unit,omitempty" doc:"what is counted: \"bytes\", or a plural"`
}

// Report takes progress; it may be called often.
type Report func(Progress)

// None is no parameters, or no result.
type None struct{}

// Name names an operation that takes a P and returns an R.
type Name[P, R any] string

// Operation is one entry of the table.
type Operation struct {
	Name    string // "user.create"
	Method  string
	Path    string // below [Prefix]; {x} is the parameter x, one segment
	Summary string
	Access  Access
	Status  int  // of success
	Long    bool // it may take long, and reports progress

	params, result reflect.Type
	fields         map[string]reflect.Type // of params, by name
	required       []string
	decode         func(json.RawMessage) (any, error)
	run            func(ctx context.Context, env *Env, params any, progress Report) (any, error)
	next           func(params, result any) (after string, ok bool) // nil for what is no list
}

// operation makes an entry of a typed function; route is "METHOD /path".
func operation[P, R any](n Name[P, R], route, summary string, a Access, run func(ctx context.Context, env *Env, p P, progress Report) (R, error)) Operation {
	method, path, _ := strings.Cut(route, " ")
	op := Operation{
		Name: string(n), Method: method, Path: path, Summary: summary, Access: a, Status: http.StatusOK,
		params: reflect.TypeFor[P](), result: reflect.TypeFor[R](),
		decode: func(raw json.RawMessage) (any, error) { return decode[P](string(n), raw) },
		run: func(ctx context.Context, env *Env, params any, progress Report) (any, error) {
			return run(ctx, env, params.(P), progress)
		},
	}
	op.fields = map[string]reflect.Type{}
	for _, f := range members(op.params) {
		op.fields[f.name] = f.typ
		if !f.optional {
			op.required = append(op.required, f.name)
		}
	}
	if op.result == reflect.TypeFor[None]() {
		op.Status = http.StatusNoContent
	}
	return op
}

// listing makes an entry of a list: one page of it for each call.
func listing[P pager, T Element](n Name[P, []T], route, summary string, a Access, run func(ctx context.Context, env *Env, p P) ([]T, error)) Operation {
	op := operation(n, route, summary, a, func(ctx context.Context, env *Env, p P, _ Report) ([]T, error) {
		list, err := run(ctx, env, p)
		return orEmpty(list), err
	})
	op.next = func(params, result any) (string, bool) {
		list := result.([]T)
		if len(list) < params.(P).size() {
			return "", false
		}
		return list[len(list)-1].key(), true
	}
	return op
}

// created says that success makes something.
func (o Operation) created() Operation {
	o.Status = http.StatusCreated
	return o
}

// long says that the operation may take long.
func (o Operation) long() Operation {
	o.Long = true
	return o
}

// decode reads parameters strictly: a member that the operation does not have
// is refused, not ignored. What was read before an error is returned with it.
func decode[P any](name string, raw json.RawMessage) (P, error) {
	var p P
	if len(raw) == 0 {
		return p, nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		return p, badParameter(err, "the parameters of %s are not understood: %s", name, strings.TrimPrefix(err.Error(), "json: "))
	}
	if c, ok := any(p).(interface{ check() error }); ok {
		return p, c.check()
	}
	return p, nil
}

func badParameter(cause error, format string, a ...any) error {
	return registry.E("admin", registry.ParameterInvalid, cause, format, a...)
}

// perform runs op for the caller in ctx, who is told first if this is not for
// them and only then what is wrong with the parameters; bad is what was found
// wrong before.
func (o *Operation) perform(ctx context.Context, env *Env, raw json.RawMessage, bad error, progress Report) (params, result any, err error) {
	params, err = o.decode(raw)
	if bad == nil {
		bad = cmp.Or(err, o.missing(raw))
	}
	if err := o.Access.check(ctx, env.Gate, params); err != nil {
		return params, nil, err
	}
	if bad != nil {
		return params, nil, bad
	}
	result, err = o.run(ctx, env, params, progress)
	return params, result, err
}

// missing says which parameter is not there.
func (o *Operation) missing(raw json.RawMessage) error {
	var given map[string]json.RawMessage
	if err := json.Unmarshal(raw, &given); err != nil {
		return badParameter(err, "the parameters of %s are no JSON object", o.Name)
	}
	for _, name := range o.required {
		if given[name] == nil {
			return badParameter(nil, "%s needs %q", o.Name, name)
		}
	}
	return nil
}

// problem says what a table's author forgot.
func (o *Operation) problem() error {
	switch {
	case o.Name == "", o.Summary == "", !strings.HasPrefix(o.Path, "/"):
		return fmt.Errorf("operation %q: it needs a name, a path and a summary", o.Name)
	case o.Access.kind == 0:
		return fmt.Errorf("operation %s: who may do it is not said: give it an Access", o.Name)
	case o.Access.params != nil && o.Access.params != o.params:
		return fmt.Errorf("operation %s: its Access reads a %s, it takes a %s", o.Name, o.Access.params, o.params)
	}
	for _, name := range o.pathParams() {
		if o.fields[name] == nil {
			return fmt.Errorf("operation %s: its path has {%s}, which is no parameter", o.Name, name)
		}
	}
	return nil
}

// hasBody tells whether parameters that are not in the path come as a body.
func (o *Operation) hasBody() bool {
	return o.Method != http.MethodGet && o.Method != http.MethodDelete
}

// pathParams lists the parameters in the path.
func (o *Operation) pathParams() (names []string) {
	for segment := range strings.SplitSeq(o.Path, "/") {
		if name, ok := pathParam(segment); ok {
			names = append(names, name)
		}
	}
	return names
}

func pathParam(segment string) (name string, ok bool) {
	if name, ok = strings.CutPrefix(segment, "{"); !ok {
		return "", false
	}
	return strings.CutSuffix(name, "}")
}
