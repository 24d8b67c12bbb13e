// Package engine is the registry itself: the one writer of content and names
// (design rule 2), over storage/meta for rows and storage/blob for bytes.
//
// It is not a protocol: handlers of the OCI API and of package formats call it
// through registry.Registry. It is not a policy: who may do what is decided by
// the Gate it is given, which it asks again for the exact verb of each
// operation.
//
// Invariants:
//
//   - Bytes are durable before a row names them, and a row before the caller
//     hears of it. A crash leaves unreferenced objects, never a dangling name.
//   - Each object's storage key is reserved durably before the object is
//     written, so objects that a crash left behind are found without listing
//     the storage.
//   - Conditions and immutability are decided inside the transaction.
//   - An answer from the cache is one the database could have given after the
//     request began; see generations.
//
// A blob lives like this:
//
//	upload ─► live, unreferenced (lease runs) ─► referenced by a manifest
//	              │   ▲ push, mount, HEAD renew        │ manifest collected
//	              ▼   └────────────────────────────────┘
//	          deleting ─► gone
package engine
