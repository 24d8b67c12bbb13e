// Package adopt takes over the data directory of a real registry of the distribution project, pinned in package tools.
//
// It is not the test of what adoption skips, which needs damaged trees: that is registry/engine's own.
package adopt
