// Package obs is what an operator sees of a running server: its log, one
// access line for each request, and its metrics.
//
// It is not a router and knows no protocol: the server tells it what a request
// was. It keeps no state that an answer depends on.
//
// Invariants:
//
//   - Application and access lines share one [Output], in the order they were
//     made. A line is never split; the last ones are written at the latest one
//     second after they were made, and on Close.
//   - Labels are formats, route kinds and status classes. Nothing a client can
//     invent (a repository, a tag, a path) is ever a label, so the number of
//     series is fixed when the server starts.
//   - Logging and counting one request takes no allocation and under two
//     microseconds, because a manifest is served in a few dozen.
package obs
