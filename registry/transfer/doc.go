// Package transfer sends content of known size to a client: conditions, ranges
// and the copying itself, for every protocol the same way.
//
// It is not a protocol: what the content is called, typed and cached is its
// callers' to say. Nothing is held in memory; bytes go out by sendfile where
// both ends can.
package transfer
