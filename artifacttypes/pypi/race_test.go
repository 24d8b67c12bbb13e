//go:build race

package pypi

// allowance multiplies what may be allocated: the race detector allocates
// beside the code.
const allowance = 8
