// Package obs is what an operator sees of a running server: its log, one
// access line for each request, its metrics, and its traces.
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
//   - What other packages keep is read when it is scraped: a counter costs its
//     owner an atomic addition. What takes a query is asked for once a minute.
//   - Spans are made as the standard OTEL_* variables say, and none without
//     them, at no cost. They are named by methods, route kinds, statements and
//     operations. A repository's name may be an attribute; a parameter of a
//     query, a value, a key and the text of an error never are.
//   - Logging and counting one request takes no allocation and under two
//     microseconds, because a manifest is served in a few dozen.
package obs
