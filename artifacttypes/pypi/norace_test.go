//go:build !race

package pypi

// allowance multiplies what may be allocated.
const allowance = 1
