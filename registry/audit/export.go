package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// Event is a record in the shape of an export: one JSON object in one line,
// with the names of the Elastic Common Schema, which OpenSearch and most SIEMs
// read, and ours under "packhouse". Fields are added, never renamed.
type Event struct {
	Timestamp  time.Time         `json:"@timestamp"`
	ID         string            `json:"event.id"` // --after takes it
	Action     string            `json:"event.action"`
	Outcome    string            `json:"event.outcome"` // success, failure
	Sequence   int64             `json:"event.sequence"`
	Hash       string            `json:"event.hash"`
	User       string            `json:"user.name"`
	Address    string            `json:"source.address,omitempty"`
	IP         string            `json:"source.ip,omitempty"`
	Client     string            `json:"user_agent.original,omitempty"`
	RequestID  string            `json:"http.request.id,omitempty"`
	Route      string            `json:"packhouse.route,omitempty"`
	Token      string            `json:"packhouse.token,omitempty"`
	Subject    string            `json:"packhouse.subject,omitempty"`
	Repo       registry.Repo     `json:"packhouse.repo,omitempty"`
	Namespace  string            `json:"packhouse.namespace,omitempty"`
	Tag        registry.Tag      `json:"packhouse.tag,omitempty"`
	Digest     registry.Digest   `json:"packhouse.digest,omitempty"`
	Before     registry.Digest   `json:"packhouse.before,omitempty"`
	Detail     map[string]string `json:"packhouse.detail,omitempty"`
	Chain      string            `json:"packhouse.chain"`
	ServerType string            `json:"service.type"` // "packhouse"
}

// Event is r in the shape of an export.
func (r *Record) Event() Event {
	e := Event{
		Timestamp: r.Time, ID: strconv.FormatInt(r.ID, 10), Action: r.Action, Outcome: "success", Sequence: r.Seq, Hash: r.Hash,
		User: r.Principal, Address: r.Address, Client: r.Client, RequestID: r.RequestID, Route: r.Route,
		Token: r.Token, Subject: r.Subject, Repo: r.Repo, Namespace: r.Namespace, Tag: r.Tag, Digest: r.Digest, Before: r.Before,
		Detail: r.Detail, Chain: r.Chain, ServerType: "packhouse",
	}
	if r.Chain == meta.ChainDenials {
		e.Outcome = "failure"
	}
	if _, err := netip.ParseAddr(r.Address); err == nil {
		e.IP = r.Address // an index refuses a document whose address is none
	}
	return e
}

// Export writes all records that f selects to w, in the order of ids whatever
// f says, one [Event] in a line, and returns the id of the last one written:
// given as f.After, the next export goes on there. f.Limit bounds how many; 0
// for all. It returns the errors of [Trail.List] and of w.
func (t *Trail) Export(ctx context.Context, f Filter, w io.Writer) (last int64, err error) {
	const op = "audit.Export"
	f.Order = ByID
	q, err := t.query(ctx, op, f)
	if err != nil {
		return f.After, err
	}
	left := f.Limit
	if left == 0 {
		left = int(^uint(0) >> 1)
	}
	if !f.Since.IsZero() { // begin there rather than look at all before it
		first, err := t.meta.FirstAudit(ctx, f.Since)
		switch {
		case errors.Is(err, meta.ErrNotFound):
			return f.After, nil
		case err != nil:
			return f.After, fmt.Errorf("%s: %w", op, err)
		}
		q.After = max(q.After, first-1)
	}
	last = f.After
	lines := json.NewEncoder(w)
	lines.SetEscapeHTML(false)
	for left > 0 {
		q.Limit = min(left, maxLimit)
		rows, err := t.meta.Audit(ctx, q)
		if err != nil {
			return last, fmt.Errorf("%s: %w", op, err)
		}
		for i := range rows {
			r := recordOf(&rows[i])
			if err := lines.Encode(r.Event()); err != nil {
				return last, err
			}
			last, q.After = r.ID, r.ID
		}
		if left -= len(rows); len(rows) < q.Limit {
			break
		}
	}
	return last, nil
}
