//go:build race

package pypi

// raced tells that the race detector is on, which allocates beside the code.
const raced = true
