//go:build !faults

package engine

import (
	"context"

	"github.com/packhouse/packhouse/registry"
)

// fault is a bug that tests of the tests seed, see faults_on.go. There is none
// in this binary.
type fault struct{}

func newFault() *fault { return nil }

func (*fault) skipsValidation() bool                     { return false }
func (*fault) finder(_ key, find finder) finder          { return find }
func (*fault) filled(*cache, registry.Repo, key, *entry) {}
func (*fault) before(_ context.Context, _ *Engine, _ registry.Repo, o registry.PutOptions) (registry.PutOptions, error) {
	return o, nil
}
