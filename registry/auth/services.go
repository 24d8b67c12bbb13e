package auth

import (
	"context"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// CreateService makes a service account, which has no password: it logs in by
// tokens. It returns PARAMETER_INVALID, CONFLICT, and what the gate says:
// service accounts are for who may administer the whole registry.
func (s *Service) CreateService(ctx context.Context, a Account) (meta.Principal, error) {
	const op = "auth.CreateService"
	if a.Password != "" {
		return meta.Principal{}, registry.E(op, registry.ParameterInvalid, nil, "a service account has no password: make a token for it")
	}
	return s.create(ctx, op, meta.KindService, a)
}

// Services lists up to limit service accounts by name, after the given one.
func (s *Service) Services(ctx context.Context, after string, limit int) ([]meta.Principal, error) {
	return s.accounts(ctx, "auth.Services", meta.KindService, after, limit)
}

// ServiceAccount describes one service account, to administrators and to
// itself. It returns NAME_UNKNOWN.
func (s *Service) ServiceAccount(ctx context.Context, name string) (meta.Principal, error) {
	return s.account(ctx, "auth.ServiceAccount", meta.KindService, name)
}

// ChangeService changes what describes a service account. It returns
// NAME_UNKNOWN, PARAMETER_INVALID.
func (s *Service) ChangeService(ctx context.Context, name string, c AccountChange) error {
	return s.describe(ctx, "auth.ChangeService", meta.KindService, name, c)
}

// DisableService takes all rights from a service account until
// [Service.EnableService] gives them back. It returns NAME_UNKNOWN, CONFLICT
// for the last administrator.
func (s *Service) DisableService(ctx context.Context, name string) error {
	return s.disable(ctx, "auth.DisableService", meta.KindService, name, true)
}

// EnableService gives a service account back the rights and tokens of before.
// It returns NAME_UNKNOWN.
func (s *Service) EnableService(ctx context.Context, name string) error {
	return s.disable(ctx, "auth.EnableService", meta.KindService, name, false)
}

// DeleteService removes a service account with its tokens, grants and
// memberships. It returns NAME_UNKNOWN, CONFLICT for the last administrator.
func (s *Service) DeleteService(ctx context.Context, name string) error {
	return s.remove(ctx, "auth.DeleteService", meta.KindService, name)
}
