// Package feed serves package formats over the engine: it finds the feed and
// the route of a request, and is the one implementation of
// artifacttypes.View.
//
// It is not a format, and knows none: it is handed a list. It writes nothing
// itself; the engine does.
//
// A document is made of fragments that the engine stored when a release
// changed. A package's document is composed when a client asks for it and kept
// until the package changes. A feed's document is the concatenation of parts,
// one for each bucket of packages, kept compressed; a publish outdates one.
package feed
