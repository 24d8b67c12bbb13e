// Package distspec is the OCI distribution API over any [registry.Registry].
//
// A request passes through in two steps, so that the server can decide access
// and measure between them: [Parse] turns method and URL into a typed
// [Request], and [Handler.Serve] answers it. [Handler.WriteError] is the one
// place that turns an error into a status line and a body.
//
//	Parse(method, url) → Request{Kind, Verb, Repo, …} → gate → Serve → registry.Registry
//
// It follows https://github.com/opencontainers/distribution-spec/blob/main/spec.md
// and RFC 9110 where that is silent. It does not decide access, knows no
// storage and holds no state.
//
// Invariants:
//
//   - Names in a Request are legal; Parse looks nothing up.
//   - Every [Kind] has a [registry.Verb] that is not zero.
//   - A response that was begun and cannot be finished ends with a broken
//     connection, never with a clean end.
//   - Request and response bodies stream, but manifests and pages of lists,
//     which are bounded by [Options].
package distspec
