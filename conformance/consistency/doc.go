// Package consistency judges from outside what replicas promise together: that two of them over PostgreSQL, S3 and Redis
// answer as one, whatever breaks around them.
//
// It drives the real binary and real servers, and knows nothing of the product's code. Each test has services of its own,
// with proxies before them, and breaks those: they are killed, restarted, paused, cut off, reset, slowed down, filled up
// and, for Redis, set back to an old state. What clients saw is kept and compared with what they may have seen:
//
//	names      histories of tags have an order that explains them (porcupine, a register per tag)
//	publish    one winner per version; an index names a version as soon as its publisher knows
//	collect    garbage goes, and nothing else, while clients push
//	redis      no answer is wrong or refused, every pull succeeds
//	postgres   503 in time, nothing lost, refused and done, or done twice; back in five seconds
//	s3         what was acknowledged is there byte for byte, what was not is nowhere
//	rolling    no request fails while replicas are replaced; what was revoked is refused everywhere
//
// An operation whose answer never came may have happened, may happen yet, or never; one that was refused with 503 has
// not happened, unless its answer says that this is uncertain.
//
// The tests run one after the other, since they measure how long things take. They are small by default and of the sizes
// of the published figures with -full; with -sqlite those that can run on one process over SQLite do, which tells faults
// of replicas from others. Times are printed, and held against bounds only where the registry promises one.
//
// Tests say what turned them red. The checker is tested with histories of registries that have a bug, the clients
// with registries that are given one: a binary built with the tag faults has five.
package consistency
