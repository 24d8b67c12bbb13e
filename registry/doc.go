// Package registry is the product's vocabulary: repositories, tags,
// descriptors, manifests, the verbs of access, the errors a client may see,
// and the [Registry] interface that the engine, upstream clients and filters
// implement.
//
// It does no I/O, holds no state and imports nothing of ours, so every other
// package may import it.
//
// Invariants:
//
//   - A [Repo] or [Tag] obtained from its Parse function is legal by the OCI
//     distribution specification; code that takes one need not check again.
//   - A [Manifest]'s Raw is the exact bytes pushed and hashes to its Digest.
//   - The zero [Verb] grants nothing and is refused by every gate.
package registry
