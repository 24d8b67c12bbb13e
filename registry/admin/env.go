package admin

import (
	"sync"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/audit"
	"github.com/packhouse/packhouse/registry/auth"
	"github.com/packhouse/packhouse/registry/engine"
	"github.com/packhouse/packhouse/registry/feed"
)

// Env is what operations work on.
type Env struct {
	Engine *engine.Engine
	Feeds  *feed.Handler
	Gate   registry.Gate
	Auth   *auth.Service
	Audit  *audit.Trail

	applying sync.Mutex // one file at a time
}
