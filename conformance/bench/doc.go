// Command bench measures packhouse beside its peers and prints a table of figures, ratios and targets in Markdown.
//
//	cd conformance && go run ./bench [--quick] [--only NAME,…] [--peers NAME,…] [--feed-size N] [--dir DIR] [--out FILE.md]
//
// It is not a test: it never fails because something is slow, only because something went wrong. Clients that are judged
// by what they can do, not by how fast, are in ../clients.
//
// The peers of images are distribution (the reference registry), nginx (the limit of serving a file) and dd (the limit of
// writing one); those of packages are verdaccio for npm, pypiserver and devpi for Python. What makes the figures comparable:
//
//   - all peers run in the same run and take turns, A B C A B C …; the table shows the median of the rounds;
//   - all keep their data in one temporary directory, on one file system, which is synced before each turn;
//   - one loader serves all of them, and it costs less than any of them: wrk for small answers; for everything else
//     plain connections that send files by sendfile and drop what they receive inside the kernel (see conn.go);
//   - content and digests are made, and answers compared, outside the timed part;
//   - packages are synthetic and the same for all: what they hold, need and weigh follows from a number.
//
// Files: one per group of rows, of images (manifests, blobs, pushes, images, lists, memory), of packages (npm with
// packuments and installs, pypi, versions, feeds, uploads), access with storm for what asking for credentials costs, and
// scale.go and scale_*.go for replicas over PostgreSQL, Redis and S3;
// npm_package.go, wheel.go and chart.go make packages; peers.go and package_peers.go start the programs; load.go and
// conn.go make the load; report.go writes the table.
package main
