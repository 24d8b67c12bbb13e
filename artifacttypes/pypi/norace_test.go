//go:build !race

package pypi

// raced tells that the race detector is on.
const raced = false
