// Package auth answers two questions: who is asking ([Service.Authenticate])
// and may they ([Gate], over a [Policy]).
//
// It is not a filter that handlers call when they think of it: a request's
// server authenticates before it routes, and the engine asks the gate for the
// exact verb of each operation. It serves no pages and knows no HTTP but the
// headers that credentials come in, and Docker's token endpoint.
//
//	credential ── Authenticate ──► Identity ──┐
//	                                          ├── Gate ──► nil | UNAUTHORIZED | NAME_UNKNOWN | DENIED
//	rows ── snapshot of one generation ──► Policy
//
// Invariants:
//
//   - A decision looks nothing up: a policy is a value in memory, made of all
//     rows of one generation.
//   - Deny by default; an explicit deny wins over every grant, for everybody
//     but operators.
//   - A token never does more than its owner may now, nor more than it was
//     minted for.
//   - What takes a right away is in force on this node before the change
//     returns, and on every other within seconds ([Config.Poll]).
//   - Secrets are stored as hashes or sealed, compared in constant time, and
//     shown once.
package auth
