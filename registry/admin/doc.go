// Package admin is what an operator can do to a registry beside pushing and
// pulling: one table of typed operations over the engine.
//
// The same operation runs in one of two places. While a server has the data
// directory, a command asks it through DATA/admin.sock; when none runs, the
// command opens the directory itself and runs the operation in its own
// process. Both are a [Caller], and [Call] does not tell them apart.
//
//	command ── Call(GC, params) ──┬── Remote ── DATA/admin.sock ── Handler ──┬── Operation.Run ── engine
//	                              └── Local ─────────────────────────────────┘
//
// On the socket an operation is POST /-/api/v1/ops/<name> with its parameters
// as one JSON object. The answer is JSON lines: any number of
// {"progress":{…}}, then {"result":…} or {"error":{"code":…,"message":…}}.
// Whoever closes the connection stops the operation.
//
// It is not an access decision: the socket's mode (0600) is, and the engine's
// gate. It renders nothing; commands do.
//
// To add an operation: a [Name] with its types in names.go, and one entry in
// [Operations].
package admin
