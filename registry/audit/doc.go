// Package audit reads and keeps the record of all changes: it lists, exports
// and verifies it, writes signed checkpoints of it outside the database,
// removes what is older than it must be kept, and adds what was refused.
//
// It writes no records of changes: whoever changes something does, in the same
// transaction (meta.Tx.Record). Nor is it the log: what it cannot do it says
// there.
//
//	Tx.Record ──► audit rows, one hash chain each: r<repository id>, n<namespace id>, access
//	Gate's refusals ──► Denials, summed up each minute ──► chain denials
//	heads of the chains ──► <checkpoints>/20261124T154500.000Z.json, signed, each with the hash of the one before
//
// A row's hash covers all its columns and the hash before it, so an edit, a
// hole or another order shows at that row; the chain's head shows a missing
// end. Who can write the database can compute all of that anew: only a
// checkpoint shows it, if they cannot write there, too. Retention removes rows
// from the beginning and leaves in the head what the rest begins with.
//
// Invariants:
//
//   - A checkpoint never tells of a record that a power cut could take back.
//   - Refusals cost at most maxDenials+1 rows a minute, whoever asks how often.
//   - Nothing here makes a request fail or wait: what cannot be written is
//     logged, and tried again or dropped.
//   - Reading needs the verb admin on all that is read.
package audit
