// Package meta keeps everything that is not bytes: repositories, the periods
// of tags and manifests, references, upload sessions and the keys of blob
// objects. It is real SQL over database/sql: one schema, one set of queries.
//
// It is not a policy: it knows rows, not rules. The engine decides what a
// change means and calls these methods inside one [Store.Update].
//
// Invariants:
//
//   - One process per SQLite database; [Open] takes for granted that the
//     caller holds the data directory's lock. Any number of processes share a
//     PostgreSQL database.
//   - All changes of a process run on one connection, in the order they were
//     queued. Changes that wait together share one commit, each in a savepoint
//     of its own, so one that fails leaves the others alone. On PostgreSQL a
//     lock puts the commits of all processes in one order
//     (registry/adr/0017).
//   - A durable Update returns nil only after its commit was fsynced
//     (synchronous=FULL). One that is not durable survives a killed process
//     but may vanish in a power cut; it can never tear the database.
//   - After an I/O error in a commit the store refuses further changes until
//     the process is restarted: a failed fsync is final.
//   - A durable change says in the audit what it did, in the same transaction,
//     or is marked as housekeeping; else it fails.
//   - A name (tag, membership) has at most one open period. Periods are
//     closed, never edited; only the collector removes them.
//
// Tables:
//
//	namespaces         id, name, incarnation, visibility
//	repositories       id, namespace, name, generation, deleted_at
//	blobs              id, digest, size, state, unreferenced_since
//	objects            blob 1..n segments: position, storage key, size
//	repository_blobs   which repository shows which blob
//	manifests          id, digest, media type, raw bytes, subject …
//	manifest_blobs     manifest → blob references
//	manifest_children  index → manifest references
//	memberships        periods of a manifest in a repository
//	tags               periods of a tag
//	uploads            open sessions; upload_segments their objects
//	feeds              the packages of one format in one namespace
//	releases           one row per version; editions its manifests, release_files when each file came
//	states             what was said of a release or package later
//	fragments          derived: parts of documents; file_facts: what was read in files
//	signing_keys       the registry's own
//	access             generation of what decides about access, one row
//	principals         users and service accounts; groups, group_members
//	grants             who may do what where; trusts the same for CI jobs
//	tokens             hashes of secrets; secret_keys the server's own, sealed
//	logins             log-ins under way in a browser, for minutes
//	audit              what was done, one hash chain each; audit_heads how far each goes
//	identity           the database's random id, and which binaries can use it
//	clock, stripes     which part of the names changed with which commit
//	writers            number of each process' latest transaction
//	replicas, leases   the processes, and what one of them does at a time
//	object_blocks      storage keys reserved but not yet known to be used, and by which replica
//	collector          how far the collector is, one row
//	loose_manifests    manifests that lost a period: perhaps nothing holds them now
package meta
