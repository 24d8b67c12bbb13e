// Package crash judges from outside what the registry promises when things
// break: the process is killed, the power goes, the disk fills up or answers
// with errors, clients race each other or send hostile bodies.
//
// It drives the real binary over HTTP and knows nothing of the product's code.
// Clients keep a journal of what was acknowledged; an operation whose answer
// never came may have happened or not, but as a whole. After each disturbance
// what the journal says is read back and compared:
//
//	lost      acknowledged, and gone
//	altered   there, with other bytes or another digest
//	revived   its deletion was acknowledged, and it is there
//	torn      half of an operation is there
//	dangling  a manifest is listed, and something it refers to is missing
//
// Each of these is a fault, and a test demands none. The tests run small by
// default and at the sizes of the published figures with -full. They mount
// file systems and so need root; all mounts live in a mount namespace of the
// test process and vanish with it, however it ends.
//
// Found so far, beside mistakes of the tests themselves:
//
//   - A commit whose fsync failed was answered 5xx, and done after a restart: the
//     next start found it in the database's log. A blob then had a row and no
//     bytes (TestFaults).
//   - On a full disk deletes were refused once pushes had used up what was held
//     in reserve for them (TestDiskFull).
//   - A hundred clients that held back the last byte of a manifest each took
//     900 MiB of memory (TestHostile).
//
// Every durability test names the mutation of the product that turns it red.
// The harness itself is tested by breaking a data directory under it, and
// histories under its checker.
package crash
