// Package server turns a configuration into a running registry: it locks the
// data directory, opens the stores, starts the engine, and serves clients,
// probes and metrics until it is told to stop.
//
// It is not a protocol: the OCI API is package distspec. It decides nothing
// about content. It is the only package, with cmd, that sees all others.
//
// What happens to a client's request, in this order:
//
//	request id ─ limits ─ open-mode guard ─ route on the escaped path
//	                                          ├─ /v2…          Parse → Gate → Serve
//	                                          ├─ probes        200, or 503 while stopping
//	                                          └─ /             what to type
//	                    ─ access line and counters, also after a panic
//
// Invariants:
//
//   - No store is asked before the gate has agreed to the route's verb.
//   - A transfer may take as long as it likes; silence may not: each byte moves
//     the deadline of its direction.
//   - A blob on the local disk leaves by sendfile: nothing between the engine's
//     file and the socket hides either from the kernel.
//   - After SIGTERM readiness fails first, then listeners close, then requests
//     under way finish, then the engine closes. An answer that began is whole.
//   - While no credentials are configured, only this machine is served, unless
//     the operator said otherwise, and never a page of another site.
//
// Files it keeps in the data directory:
//
//	DATA/lock         flock of the one process; holds its pid
//	DATA/addr         while serving: line 1 the clients' base URL, line 2 the second listener's
//	DATA/admin.sock   while serving: see package admin
package server
