// Package all is the one list of package formats.
package all

import (
	"github.com/packhouse/packhouse/artifacttypes"
)

// Formats lists every format, by name.
func Formats() []artifacttypes.Format {
	return []artifacttypes.Format{}
}
