package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// Report is what Verify found.
type Report struct {
	Chains      int64     `json:"chains"`
	Records     int64     `json:"records"`
	Checkpoints int64     `json:"checkpoints"`
	First       int64     `json:"first_checkpoint,omitempty"` // its number: more than 1 if older ones were taken away
	Signers     []string  `json:"signers,omitempty"`          // ids of the keys that signed
	Through     time.Time `json:"through,omitzero"`           // the latest checkpoint's time
	Uncovered   int64     `json:"uncovered"`                  // records since then
	Problems    []Problem `json:"problems"`
	More        int64     `json:"more,omitempty"` // problems that are not listed
}

// OK tells whether nothing was found.
func (r *Report) OK() bool { return len(r.Problems) == 0 }

// Problem is the first thing that is wrong with a chain or a checkpoint.
type Problem struct {
	Chain      string `json:"chain,omitempty"`
	Seq        int64  `json:"seq,omitempty"` // of the first bad record
	ID         int64  `json:"id,omitempty"`  // its id, if it is there
	Checkpoint string `json:"checkpoint,omitempty"`
	Message    string `json:"message"`
}

const maxProblems = 1000

// VerifyOptions say how to verify.
type VerifyOptions struct {
	// Dir holds the checkpoints. Default: those of the configuration.
	Dir string
	// Keys are the keys that may sign checkpoints. Without any, every
	// checkpoint vouches for its own key, so that whoever can write both the
	// database and the directory is not found out.
	Keys []ed25519.PublicKey
	// Progress is called now and then with the records looked at; it may be nil.
	Progress func(records int64)
}

// Verify reads all of the audit and compares it with its chains, their heads
// and the checkpoints. It needs the verb admin on the whole registry. What is
// wrong with the audit is in the report, not an error.
func (t *Trail) Verify(ctx context.Context, o VerifyOptions) (Report, error) {
	const op = "audit.Verify"
	if err := t.may(ctx, op, "", true); err != nil {
		return Report{}, err
	}
	if o.Dir == "" {
		o.Dir = t.cfg.Checkpoints
	}
	if o.Progress == nil {
		o.Progress = func(int64) {}
	}
	v := verification{meta: t.meta, options: o, report: Report{Problems: []Problem{}}}
	// First of all: a checkpoint that comes meanwhile is the next run's.
	var names []string
	var err error
	if o.Dir != "" {
		names, err = checkpointNames(o.Dir)
	}
	for _, step := range []func() error{
		func() error { return err },
		func() error { return v.trims(ctx) },
		func() error { return v.chains(ctx) },
		func() error { return v.checkpoints(ctx, names) },
	} {
		if err := step(); err != nil {
			return v.report, fmt.Errorf("%s: %w", op, err)
		}
	}
	return v.report, nil
}

type verification struct {
	meta    *meta.Store
	options VerifyOptions
	report  Report
	trimmed time.Time // records from before this time may be missing
}

func (v *verification) problem(p Problem) {
	if len(v.report.Problems) == maxProblems {
		v.report.More++
		return
	}
	v.report.Problems = append(v.report.Problems, p)
}

// trims finds out what retention says it removed.
func (v *verification) trims(ctx context.Context) error {
	f := meta.AuditFilter{Action: actionTrim, Limit: maxLimit, Order: meta.AuditCommitted}
	for {
		rows, err := v.meta.Audit(ctx, f)
		if errors.Is(err, meta.ErrUnreadable) {
			return nil // its chain tells
		}
		if err != nil {
			return err
		}
		for _, r := range rows {
			f.After = r.ID
			var detail struct{ Before time.Time }
			if r.Chain == meta.ChainAccess && json.Unmarshal([]byte(r.Detail), &detail) == nil && detail.Before.After(v.trimmed) {
				v.trimmed = detail.Before
			}
		}
		if len(rows) < f.Limit {
			return nil
		}
	}
}

func (v *verification) chains(ctx context.Context) error {
	for after := ""; ; {
		chain, err := v.meta.NextAuditChain(ctx, after)
		if err != nil || chain == "" {
			return err
		}
		v.report.Chains++
		if err := v.chain(ctx, chain); err != nil {
			return err
		}
		after = chain
	}
}

var errFound = errors.New("found") // ends the reading of a chain

// chain verifies one chain as it is at one moment.
func (v *verification) chain(ctx context.Context, name string) error {
	var head meta.AuditHead
	var seq int64 // of the last good record
	var hash []byte
	found := func(p Problem, format string, a ...any) error {
		p.Chain, p.Message = name, fmt.Sprintf(format, a...)
		v.problem(p)
		return errFound
	}
	err := v.meta.AuditChain(ctx, name,
		func(h meta.AuditHead) error {
			head, seq, hash = h, h.TrimmedSeq, h.TrimmedHash
			if h.TrimmedSeq == 0 || !v.trimmed.IsZero() {
				return nil
			}
			if err := v.trims(ctx); err != nil { // has it begun meanwhile?
				return err
			}
			if v.trimmed.IsZero() {
				return found(Problem{Seq: 1}, "records up to %d were removed, and no %s tells of it", h.TrimmedSeq, actionTrim)
			}
			return nil
		},
		func(r *meta.AuditRow) error {
			v.report.Records++
			if v.report.Records%10000 == 0 {
				v.options.Progress(v.report.Records)
			}
			if r.Seq != seq+1 {
				return found(Problem{Seq: seq + 1}, "the records before %d are missing", r.Seq)
			}
			if !bytes.Equal(r.Hash, r.Sum(hash)) {
				return found(Problem{Seq: r.Seq, ID: r.ID}, "record %d was changed, moved or put in", r.Seq)
			}
			seq, hash = r.Seq, r.Hash
			return nil
		})
	switch {
	case errors.Is(err, errFound):
		return nil
	case errors.Is(err, meta.ErrUnreadable):
		_ = found(Problem{Seq: seq + 1}, "a record or the head was changed: it has a value of another type")
	case err != nil:
		return err
	case head.Chain == "":
		_ = found(Problem{Seq: 1}, "it has %d records and no head", seq)
	case head.Seq > seq:
		_ = found(Problem{Seq: seq + 1}, "the records after %d are missing: the head tells of %d", seq, head.Seq)
	case head.Seq < seq:
		_ = found(Problem{Seq: head.Seq + 1}, "there are records up to %d: the head tells of %d", seq, head.Seq)
	case !bytes.Equal(head.Hash, hash):
		_ = found(Problem{Seq: seq}, "the head has another hash than the last record")
	}
	return nil
}

// Offline verifies the checkpoints in dir without their database: signatures
// and that none is missing between them. keys are as in [VerifyOptions].
func Offline(ctx context.Context, dir string, keys []ed25519.PublicKey) (Report, error) {
	const op = "audit.Offline"
	v := verification{options: VerifyOptions{Dir: dir, Keys: keys}, report: Report{Problems: []Problem{}}}
	names, err := checkpointNames(dir)
	if err == nil && len(names) == 0 {
		return v.report, registry.E(op, registry.ParameterInvalid, nil, "there are no checkpoints in %s", dir)
	}
	if err == nil {
		err = v.checkpoints(ctx, names)
	}
	if err != nil {
		return v.report, fmt.Errorf("%s: %w", op, err)
	}
	return v.report, nil
}
