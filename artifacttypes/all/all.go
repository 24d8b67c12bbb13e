// Package all is the one list of package formats.
package all

import (
	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/artifacttypes/generic"
	"github.com/packhouse/packhouse/artifacttypes/helm"
	"github.com/packhouse/packhouse/artifacttypes/maven"
	"github.com/packhouse/packhouse/artifacttypes/npm"
	"github.com/packhouse/packhouse/artifacttypes/pypi"
)

// Formats lists every format, by name.
func Formats() []artifacttypes.Format {
	return []artifacttypes.Format{
		generic.Format{},
		helm.Format{},
		maven.Format{},
		npm.Format{},
		pypi.Format{},
	}
}
