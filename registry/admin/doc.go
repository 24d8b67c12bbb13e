// Package admin is what can be done to a registry beside pushing and pulling:
// one table of typed operations, with three uses.
//
//	command ── Call(GC, params) ──┬── Local ──────────────────────────────────┐
//	                              └── Remote ─┬─ DATA/admin.sock ─┐           ├── Access ── Run ── engine, auth, audit
//	any HTTP client ──────────────────────────┴─ /-/api/v1 ───────┴── API ────┘
//	API description ◄── Document: OpenAPI 3.1, from the same table
//
// An operation runs in one of two places. While a server has the data
// directory, a command asks it, through DATA/admin.sock or at the address of a
// server elsewhere; when none runs, the command opens the directory itself and
// runs the operation in its own process. All are a [Caller], and [Call] does
// not tell them apart.
//
// Over HTTP an operation is its method and path below [Prefix]. Parameters are
// those of the path, each one segment (a slash in it is written %2F), and those
// of the query or, for methods with a body, of one JSON object. What an
// operation does not have is refused. The answer is its result as JSON, nothing
// (204) if it has none, or {"code":…,"message":…,"detail":…} with the code's
// status. To a client that accepts application/jsonl, work that takes long
// answers in lines: any number of {"progress":{…}}, then {"result":…} or
// {"error":{…}}. Whoever closes the connection stops the operation.
//
// Lists take limit and after; "Link: <…>; rel="next"" leads to the next page.
//
// Who may do what is each operation's [Access], asked of the registry's gate
// before anything is looked up; the engine and the access service ask it again.
// On the socket, whose mode is 0600, and in a command's own process the caller
// is the operator, who may do everything. Nothing is rendered here; commands
// do that.
//
// To add an operation: a [Name] with its types in the file of its subject, and
// one entry in [Operations].
package admin
