// Package packhouse builds the real packhouse binary and runs it as a child process, for tests and benchmarks that
// judge it from outside: clients, bench and crash.
//
// It is not a test helper bound to package testing (a benchmark is a program) and it imports nothing of the product:
// what it knows is the command line and the files of one data directory.
//
//	DATA/             --data
//	DATA/addr         written by the server once it listens: line 1 the clients' base URL, line 2 the second listener's
//	DATA.log          standard output and error of every start on DATA, appended
//	DATA.tls/         ca.pem, server.pem, server.key: made at the first start with TLS, kept for later ones
//
// Invariants: Start returns only when the server answers /v2/; a child never outlives the process that started it;
// after Stop or Kill returned, no process of the server is left.
package packhouse
