package admin

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/packhouse/packhouse/registry"
)

// Caller runs an operation by name: a [Local] or a [Remote].
type Caller interface {
	call(ctx context.Context, op *Operation, params json.RawMessage, progress Report) (json.RawMessage, error)
}

// Call runs n and returns its result. progress may be nil. Errors the
// operation returned are *registry.Error wherever it ran.
func Call[P, R any](ctx context.Context, c Caller, n Name[P, R], params P, progress Report) (R, error) {
	var result R
	op, err := find(string(n))
	if err != nil {
		return result, err
	}
	in, err := json.Marshal(params)
	if err != nil {
		return result, fmt.Errorf("%s: encode parameters: %w", n, err)
	}
	if progress == nil {
		progress = func(Progress) {}
	}
	out, err := c.call(ctx, op, in, progress)
	if err != nil {
		return result, err
	}
	if err := json.Unmarshal(out, &result); err != nil {
		return result, fmt.Errorf("%s: decode result: %w", n, err)
	}
	return result, nil
}

func find(name string) (*Operation, error) {
	table := Operations()
	for i := range table {
		if table[i].Name == name {
			return &table[i], nil
		}
	}
	return nil, registry.E("admin", registry.Unsupported, nil, "there is no operation %q", name)
}

// Local runs operations in this process, as the operator.
type Local struct{ Env *Env }

func (l Local) call(ctx context.Context, op *Operation, params json.RawMessage, progress Report) (json.RawMessage, error) {
	_, result, err := op.perform(asOperator(ctx, op.Name), l.Env, params, nil, progress)
	if err != nil {
		return nil, err
	}
	return json.Marshal(result)
}
