package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/engine"
)

// Env is what operations work on.
type Env struct{ Engine *engine.Engine }

// Progress says how far long work has come.
type Progress struct {
	Phase string `json:"phase"`           // what is being done: "blobs"
	Done  int64  `json:"done"`            // units finished
	Total int64  `json:"total,omitempty"` // units in all, 0 while that is unknown
	Unit  string `json:"unit,omitempty"`  // what is counted: "bytes", or a plural
}

// Report takes progress; it may be called often.
type Report func(Progress)

// Name names an operation that takes a P and returns an R.
type Name[P, R any] string

// Operation is one entry of the table.
type Operation struct {
	Name string
	Run  func(ctx context.Context, env *Env, params json.RawMessage, progress Report) (any, error)
}

// operation makes an entry of a typed function. Parameters are decoded
// strictly: a field that the operation does not have is refused, not ignored.
func operation[P, R any](n Name[P, R], run func(ctx context.Context, env *Env, p P, progress Report) (R, error)) Operation {
	return Operation{Name: string(n), Run: func(ctx context.Context, env *Env, params json.RawMessage, progress Report) (any, error) {
		var p P
		if len(params) > 0 {
			dec := json.NewDecoder(bytes.NewReader(params))
			dec.DisallowUnknownFields()
			if err := dec.Decode(&p); err != nil {
				return nil, registry.E("admin."+string(n), registry.Unsupported, err, "the parameters of %s are not understood: %v", n, err)
			}
		}
		return run(ctx, env, p, progress)
	}}
}

// Caller runs an operation by name.
type Caller interface {
	call(ctx context.Context, name string, params json.RawMessage, progress Report) (json.RawMessage, error)
}

// Call runs n and returns its result. progress may be nil. Errors the
// operation returned are *registry.Error wherever it ran.
func Call[P, R any](ctx context.Context, c Caller, n Name[P, R], params P, progress Report) (R, error) {
	var result R
	in, err := json.Marshal(params)
	if err != nil {
		return result, fmt.Errorf("%s: encode parameters: %w", n, err)
	}
	if progress == nil {
		progress = func(Progress) {}
	}
	out, err := c.call(ctx, string(n), in, progress)
	if err != nil {
		return result, err
	}
	if err := json.Unmarshal(out, &result); err != nil {
		return result, fmt.Errorf("%s: decode result: %w", n, err)
	}
	return result, nil
}

// Local runs operations in this process.
type Local struct{ Env *Env }

func (l Local) call(ctx context.Context, name string, params json.RawMessage, progress Report) (json.RawMessage, error) {
	op, err := find(name)
	if err != nil {
		return nil, err
	}
	result, err := op.Run(ctx, l.Env, params, progress)
	if err != nil {
		return nil, err
	}
	return json.Marshal(result)
}

func find(name string) (Operation, error) {
	for _, op := range Operations() {
		if op.Name == name {
			return op, nil
		}
	}
	return Operation{}, registry.E("admin", registry.Unsupported, nil, "there is no operation %q: client and server may be of different versions", name)
}
