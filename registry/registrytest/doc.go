// Package registrytest says in code what a [registry.Registry] must do.
//
// [Run] is the contract suite: every implementation calls it from its own
// tests. [Memory] is the smallest implementation that passes, kept so plain
// that it is obviously right; tests use it as the model to compare with and as
// the registry behind a protocol handler. It is not for production: it holds
// everything in memory under one lock.
//
// [Image] and [Index] render manifests to push.
package registrytest
