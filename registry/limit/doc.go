// Package limit bounds what one principal or one address may ask of the server:
// requests, failed log-ins and bytes of bodies on their way. It knows nothing of
// what is asked for, and decides nothing about rights. The server asks it before
// and after it knows who calls, registry/auth around each check of a secret.
//
// Invariants:
//
//   - No key gets more than burst + rate × time, whatever other keys do.
//   - Memory is bounded: a table has at most [Config.Entries] keys. One is
//     forgotten only when that changes nothing, since its bucket is full or its
//     failures are past; while there is no such one, further keys share an
//     overflow. So nobody gets a fresh bucket by filling the table with others.
//   - A wrong password from one address never keeps the right one from another
//     address out.
//
// Everything is in memory and of one process: a restart forgets it, and each
// replica counts for itself.
package limit
