// Package s3 is distribution's storage driver for S3 and what speaks its
// protocol, with a writer, deletes, reads of a part, signed URLs and limits of
// time of its own (see registry/adr/0019-object-storage.md).
//
// [Open] makes distribution's driver of distribution's parameters and shares its
// client: credentials, addressing and signing are configured there and nowhere
// else. What is replaced:
//
//   - Writer: a body that ends within one part is one PutObject; a longer one is
//     a multipart upload to its final key whose parts are sent while the next
//     ones arrive. An upload holds at most 4 parts of 5 MiB in memory.
//   - Delete and Stat are one request each; distribution's list the bucket.
//   - Connections are given up when the other side is silent, and every request
//     is repeated with growing pauses while that can help.
//
// A multipart upload is aborted when its writer fails. Those of a process that
// died are found by [Driver.AbortStale].
package s3
