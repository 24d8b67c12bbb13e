// Command bench measures packhouse beside its peers and prints a table of figures, ratios and targets in Markdown.
//
//	cd conformance && go run ./bench [--quick] [--only NAME,…] [--peers NAME,…] [--dir DIR] [--out FILE.md]
//
// It is not a test: it never fails because something is slow, only because something went wrong. Clients that are judged
// by what they can do, not by how fast, are in ../clients.
//
// The peers are distribution (the reference registry), nginx (the limit of serving a file) and dd (the limit of writing
// one). What makes the figures comparable:
//
//   - all peers run in the same run and take turns, A B C A B C …; the table shows the median of the rounds;
//   - all keep their data in one temporary directory, on one file system, which is synced before each turn;
//   - one loader serves all of them, and it costs less than any of them: wrk for small answers; for everything else
//     plain connections that send files by sendfile and drop what they receive inside the kernel (see conn.go);
//   - content and digests are made, and answers compared byte by byte, outside the timed part.
//
// Files: one per group of rows (manifests, blobs, pushes, images, lists, memory); peers.go starts the programs; load.go
// and conn.go make the load; report.go writes the table.
package main
