// Package packages drives the real clients of the package formats against the real packhouse binary.
//
//	matrix_test.go   every format × how it was published × how it is installed × what cosign does with it
//	npm_test.go …    one file per ecosystem: published with one client, installed with every other, from empty caches
//	real_…_test.go   packages that exist in the world, taken from their own registries when the test runs; whole projects
//	                 are then resolved from Packhouse alone
//	wire_…_test.go   what broke other registries, as plain requests
//	copy_test.go     feeds copied by OCI: to another Packhouse, through a directory, through another registry and back
//	kill_test.go     servers killed while clients publish
//
// Every client runs in a home of its own, with empty caches and a proxy that refuses connections: what passes here passes
// without the internet. Only the real packages are fetched first, as this machine's own configuration of npm, pip and Maven
// says. What a client did is a row of the table in conformance/README.md.
package packages
