package server

import (
	"context"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/limit"
)

// attempts counts failed log-ins, and tells the audit of them.
type attempts struct {
	*limit.Limiter
	backend *Backend
}

func (a attempts) LoginFailed(address, account string) {
	a.Limiter.LoginFailed(address, account)
	c := &registry.Caller{Principal: registry.Anonymous, Address: address, Route: "login"}
	a.backend.Audit.Denials().LoginFailed(registry.WithCaller(context.Background(), c), account)
}
