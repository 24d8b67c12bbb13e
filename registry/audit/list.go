package audit

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// Order is how records are listed.
type Order string

// The orders. They differ only where the clock was set back.
const (
	Oldest Order = ""       // by time
	Newest Order = "newest" // by time, backwards
	ByID   Order = "id"     // as they were committed: what comes later has a higher id
)

// Filter selects records. Zero fields select nothing in particular.
type Filter struct {
	Principal string // "user:alice"
	Repo      string // a name, or a name and "/**" for it and all below it
	Namespace string
	Action    string    // "manifest.put", or "manifest" for all that is done to one
	Since     time.Time // inclusive
	Until     time.Time // exclusive
	After     int64     // id of the record that the page before ended with
	Limit     int       // default 100, at most 1000
	Order     Order
}

const (
	defaultLimit = 100
	maxLimit     = 1000
)

// Record is what was done to what, by whom, from where.
type Record struct {
	ID        int64             `json:"id"`
	Time      time.Time         `json:"time"`
	Action    string            `json:"action"`
	Principal string            `json:"principal"` // "server" for what nobody asked for
	Token     string            `json:"token,omitempty"`
	Subject   string            `json:"subject,omitempty"`
	Address   string            `json:"address,omitempty"`
	Client    string            `json:"client,omitempty"`
	Route     string            `json:"route,omitempty"`
	RequestID string            `json:"request_id,omitempty"`
	Repo      registry.Repo     `json:"repo,omitempty"`
	Namespace string            `json:"namespace,omitempty"`
	Tag       registry.Tag      `json:"tag,omitempty"`
	Digest    registry.Digest   `json:"digest,omitempty"`
	Before    registry.Digest   `json:"before,omitempty"` // what was there before
	Detail    map[string]string `json:"detail,omitempty"`
	Chain     string            `json:"chain"`
	Seq       int64             `json:"seq"`
	Hash      string            `json:"hash"` // hex
}

func recordOf(r *meta.AuditRow) Record {
	out := Record{
		ID: r.ID, Time: r.At, Action: r.Action,
		Principal: r.Principal, Token: r.Token, Subject: r.Subject, Address: r.Address, Client: r.Client, Route: r.Route, RequestID: r.RequestID,
		Repo: r.Repo, Namespace: r.Namespace, Tag: r.Tag, Digest: r.Digest, Before: r.Before,
		Chain: r.Chain, Seq: r.Seq, Hash: hex.EncodeToString(r.Hash),
	}
	if r.Detail != "" && json.Unmarshal([]byte(r.Detail), &out.Detail) != nil {
		out.Detail = map[string]string{"unreadable": r.Detail} // somebody edited it: Verify says so
	}
	return out
}

// List returns one page of records. It needs the verb admin on the repository,
// on all of the namespace, or on the whole registry, whichever is asked for.
// It returns what the gate does, NAME_INVALID, PARAMETER_INVALID.
func (t *Trail) List(ctx context.Context, f Filter) ([]Record, error) {
	const op = "audit.List"
	query, err := t.query(ctx, op, f)
	if err != nil {
		return nil, err
	}
	rows, err := t.meta.Audit(ctx, query)
	switch {
	case errors.Is(err, meta.ErrNotFound):
		return nil, registry.E(op, registry.ParameterInvalid, nil, "there is no record %d any more: begin the list anew", f.After)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	list := make([]Record, len(rows))
	for i := range rows {
		list[i] = recordOf(&rows[i])
	}
	return list, nil
}

// query checks f and whether the caller may ask it.
func (t *Trail) query(ctx context.Context, op string, f Filter) (meta.AuditFilter, error) {
	q := meta.AuditFilter{
		Principal: f.Principal, Namespace: f.Namespace, Action: f.Action, Since: f.Since, Until: f.Until, After: f.After, Limit: f.Limit,
	}
	switch f.Order {
	case Oldest:
		q.Order = meta.AuditOldest
	case Newest:
		q.Order = meta.AuditNewest
	case ByID:
		q.Order = meta.AuditCommitted
	default:
		return q, registry.E(op, registry.ParameterInvalid, nil, "%.40q is no order: leave it out, or say newest or id", string(f.Order))
	}
	if f.Limit < 0 || f.After < 0 {
		return q, registry.E(op, registry.ParameterInvalid, nil, "limit and after must not be negative")
	}
	if q.Limit == 0 {
		q.Limit = defaultLimit
	}
	q.Limit = min(q.Limit, maxLimit)
	base, below := strings.CutSuffix(f.Repo, "/**")
	for _, name := range [...]string{base, f.Namespace} {
		if name == "" {
			continue
		}
		if _, err := registry.ParseRepo(name); err != nil {
			return q, err
		}
	}
	switch {
	case below:
		q.Below = registry.Repo(base)
		return q, t.may(ctx, op, q.Below, true)
	case base != "":
		q.Repo = registry.Repo(base)
		return q, t.may(ctx, op, q.Repo, false)
	}
	return q, t.may(ctx, op, registry.Repo(f.Namespace), true)
}
