// Package artifacttypes is the contract between Packhouse and the package
// formats it serves. README.md beside it teaches how to add one.
//
// A [Format] is one ecosystem: what its files say of themselves, how its names
// map to repositories and tags, which documents its clients read and which
// requests they make. It is stateless and does no I/O but through the [View]
// it is handed: it knows neither the storage nor another format.
//
// Invariants:
//
//   - Describe, Fragment and Compose are pure: no clock, no randomness, no map
//     order. Rerun over the same facts they give the same bytes, which
//     `packhouse reindex` relies on.
//   - What a release is comes from its files. What a client says beside them
//     is compared, and refused where it differs.
//   - A release's files never change or vanish but by withdrawal.
package artifacttypes
