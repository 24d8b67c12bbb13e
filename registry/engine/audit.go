package engine

import (
	"context"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// record writes what was done to r into the audit, in the same transaction.
func record(ctx context.Context, tx *meta.Tx, action string, r meta.Repository, a meta.AuditRecord) error {
	a.Action, a.Repo, a.RepoID, a.Namespace = action, r.Name, r.ID, r.Namespace
	return tx.Record(ctx, a)
}

// recordOp is record for one operation on a package.
func recordOp(ctx context.Context, tx *meta.Tx, r meta.Repository, o registry.Op) error {
	detail := map[string]string{}
	action := ""
	put := func(a, version string) { action, detail["version"] = a, version }
	switch o := o.(type) {
	case registry.SetLabel:
		put("label.set", o.Version)
		detail["label"] = o.Label
	case registry.DropLabel:
		action, detail["label"] = "label.drop", o.Label
	case registry.WithdrawVersion:
		put("version.withdraw", o.Version)
		detail["reason"] = o.Reason
	case registry.RestoreVersion:
		put("version.restore", o.Version)
	case registry.SetState:
		put("state.set", o.Version)
		detail["key"], detail["value"] = o.Key, clip(o.Value)
	}
	return record(ctx, tx, action, r, meta.AuditRecord{Detail: detail})
}

// note records what was done to the whole registry.
func (e *Engine) note(ctx context.Context, action string, detail map[string]string) error {
	return e.meta.Update(ctx, freeing, func(ctx context.Context, tx *meta.Tx) error {
		return tx.Record(ctx, meta.AuditRecord{Action: action, Detail: detail})
	})
}
