// Package clients drives real clients against the real packhouse binary.
//
// One file per client. Every test runs twice, over plain HTTP and over TLS, each time with a server, a data directory
// and a home of its own; what it pushed is read back, by the client and by plain requests, and compared by digest. Every
// client gets a proxy that refuses connections, so that nothing leaves the machine unseen.
//
// The names of the use cases are the rows of the support matrix (conformance/README.md), which `conformance/run` writes
// from what passed: TestORAS/HTTP/attach_and_discover.
//
// A client that is not installed fails its test. Docker, containerd and podman need root.
package clients
