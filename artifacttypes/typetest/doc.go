// Package typetest is the contract of a package format as a test suite. A
// format's own test makes a [Suite] of samples and calls [Suite.Run]; what the
// format's protocol alone is about stays in the format's tests, and real
// clients are driven by the conformance run.
package typetest
