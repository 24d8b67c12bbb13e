package audit

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/packhouse/packhouse/storage/meta"
)

// checkpoints verifies the files: each by itself, each after the one before
// it, and, where there is a database, their heads against its records.
func (v *verification) checkpoints(ctx context.Context, names []string) error {
	var previous string // hash of the file before
	var number, through int64
	wrong := map[string]bool{} // chains that were found out: one problem each
	for i, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		b, err := readBounded(v.options.Dir, name)
		if err != nil {
			return err
		}
		v.report.Checkpoints++
		c, signer, err := open(b, v.options.Keys)
		if err != nil {
			v.problem(Problem{Checkpoint: name, Message: err.Error()})
			previous, number = hashHex(b), 0
			continue
		}
		if !slices.Contains(v.report.Signers, signer) && len(v.report.Signers) < maxProblems {
			v.report.Signers = append(v.report.Signers, signer)
		}
		switch {
		case i == 0:
			v.report.First = c.Number
		case c.Previous != previous:
			v.problem(Problem{Checkpoint: name, Message: "the checkpoint before it is missing or was changed"})
		case number != 0 && c.Number != number+1:
			v.problem(Problem{Checkpoint: name, Message: fmt.Sprintf("its number is %d, after %d", c.Number, number)})
		}
		previous, number, through = hashHex(b), c.Number, c.Through
		v.report.Through = c.Time
		if v.meta == nil {
			continue
		}
		for _, h := range c.Heads {
			message, err := v.head(ctx, c, h)
			if err != nil {
				return err
			}
			if message != "" && !wrong[h.Chain] {
				wrong[h.Chain] = len(wrong) < maxProblems // bounded
				v.problem(Problem{Chain: h.Chain, Seq: h.Seq, Checkpoint: name, Message: message})
			}
		}
	}
	if v.meta == nil {
		return nil
	}
	var err error
	v.report.Uncovered, err = v.meta.AuditAfter(ctx, through)
	return err
}

// clockSkew is how far a record's time may be behind that of a checkpoint
// which does not have it yet.
const clockSkew = time.Minute

// keeps tells whether retention left all records since then.
func (v *verification) keeps(since time.Time) bool {
	return !v.trimmed.IsZero() && !since.Before(v.trimmed.Add(clockSkew))
}

// head says what is wrong with the records that a checkpoint knew.
func (v *verification) head(ctx context.Context, c Checkpoint, h Head) (string, error) {
	got, err := v.meta.AuditHash(ctx, h.Chain, h.Seq)
	missing := errors.Is(err, meta.ErrNotFound)
	if err != nil && !missing {
		return "", err
	}
	now, err := v.meta.AuditHead(ctx, h.Chain) // after the record: retention may be at work
	if err != nil && !errors.Is(err, meta.ErrNotFound) && !errors.Is(err, meta.ErrUnreadable) {
		return "", err
	}
	switch {
	case missing && now.TrimmedSeq == h.Seq:
		got = now.TrimmedHash
	case missing && now.TrimmedSeq > h.Seq:
		if v.keeps(c.Time) {
			if err := v.trims(ctx); err != nil { // has it gone on meanwhile?
				return "", err
			}
		}
		if v.keeps(c.Time) {
			return fmt.Sprintf("records up to %d were removed, though they are younger than any %s tells of", now.TrimmedSeq, actionTrim), nil
		}
		return "", nil
	case missing:
		return fmt.Sprintf("record %d, of which the checkpoint tells, is missing: the end was cut off, or the database was restored from a backup (then put the checkpoints since that backup elsewhere)", h.Seq), nil
	}
	if hex.EncodeToString(got) != h.Hash {
		return fmt.Sprintf("record %d is not what the checkpoint knew: the chain was rewritten", h.Seq), nil
	}
	return "", nil
}
