// Package blob keeps content: write-once objects under keys, over the storage
// drivers of the distribution project (a filesystem, S3, GCS, Azure, memory).
//
// It is not content-addressed and checks no digest: it knows keys and sizes,
// and the database knows which digest is made of which objects. The engine is
// its only writer; commands that check or adopt a data directory read it.
//
// Invariants:
//
//   - A key is used for one object, once. The caller makes keys that were
//     never used before, so no driver is asked whether one is free; on the
//     filesystem, where asking costs nothing, a second use is [ErrExists].
//   - After Put or Commit return nil the object survives a power cut: on the
//     filesystem its bytes and its directory's entry were fsynced.
//   - A failed fsync is final: it is reported and never repeated on the same
//     file, and the object is removed. A directory that lost a write (EIO)
//     takes no more objects until the process is restarted.
//   - A crash between Create and Commit leaves an object nobody knows: its key
//     was reserved, so the engine finds and deletes it.
//   - A [Store.Read] gives every byte asked for or an error; it never ends
//     cleanly before. What breaks off on its way from another machine is asked
//     for again from there.
//   - An error of Put or Commit means that the object is not there: a remote
//     storage is asked, since the reply to a success may be lost, and what it
//     has is removed. [ErrUnavailable] says that trying again later may help.
//
// Keys are absolute slash-separated paths of at least three names, each made
// of letters, digits, '.', '_' and '-'. On the filesystem they lie under the
// driver's rootdirectory:
//
//	objects/00 … objects/ff/<id>      what the engine writes; made by [Open]
//	packhouse/check/<name>            written, read and deleted at start
//	docker/registry/v2/blobs/…/data   an adopted distribution registry
//
// On S3 they are the keys of objects, below the driver's rootdirectory; package
// s3 is distribution's driver with what a registry needs besides. See
// registry/adr/0002 and 0019.
package blob
