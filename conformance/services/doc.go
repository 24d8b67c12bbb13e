// Package services runs the servers that replicas of the registry share: PostgreSQL and Redis from Debian, an S3 server
// and toxiproxy from the Go module proxy.
//
// They are real programs, each on a port of 127.0.0.1 that it keeps over restarts, so that tests can kill, pause and
// partition them. Like package packhouse, this one is not bound to package testing.
//
//	$TMPDIR/packhouse-services-…/     removed when the process ends, however it ends
//	├── postgres/  postgres.log       a cluster of an unprivileged user
//	├── redis/     redis.log          dump.rdb, when a test took or restored a snapshot
//	├── s3/        s3.log             one directory per bucket
//	└── toxiproxy.log
//
// Invariants: what starts a server returns when it answers; no server outlives the process that started it.
package services
