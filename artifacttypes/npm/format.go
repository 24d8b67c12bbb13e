package npm

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// Format is npm.
type Format struct{}

var (
	_ artifacttypes.Format = Format{}
	_ artifacttypes.Signed = Format{}
)

// Media types of a version's manifest.
const (
	artifactType = "application/vnd.packhouse.npm.v1"
	configType   = "application/vnd.packhouse.npm.config.v1+json"
	tarballType  = "application/vnd.packhouse.npm.tarball.v1.tar+gzip"
)

// Documents, and the kinds of fragments that they are made of.
const (
	full        = "packument"
	abbreviated = "abbreviated"
	readme      = "readme"
)

// abbreviatedType is the packument with no more than an installation needs.
const abbreviatedType = "application/vnd.npm.install-v1+json"

// Settings.
const (
	unpublishWindow = "unpublish_window"
	oldNames        = "old_names"
)

// Keys of state, of a version and of a package.
const (
	stateDeprecated   = "deprecated"   // why
	stateAttestations = "attestations" // the provenance's predicate type
	stateMaintainers  = "maintainers"  // a list of them, as JSON
	stateUsers        = "users"        // who starred the package, as JSON
	stateModified     = "modified"     // when something else than its versions changed
)

// Info says what is fixed about npm.
func (Format) Info() artifacttypes.Info {
	return artifacttypes.Info{
		Name:          "npm",
		Title:         "npm",
		Parser:        1,
		ArtifactTypes: []string{artifactType},
		Sums:          []string{"sha1", "sha512"},
		Fragments:     []string{full, abbreviated, readme},
		Documents: []artifacttypes.Document{
			{Name: full, Type: "application/json"},
			{Name: abbreviated, Type: abbreviatedType},
		},
		Settings: []artifacttypes.Setting{
			{
				Key: unpublishWindow, Default: "72h", Check: checkWindow,
				Doc: `how long after its publication a version may be unpublished: a duration, "0" for never, "always"`,
			},
			{
				Key: oldNames, Default: "import", Check: checkOldNames,
				Doc: `names with capital letters or any of ~'!()*, which npm gives to no new package: "import" accepts them by OCI push and where the package exists, "publish" from everybody`,
			},
		},
		Clients: []string{"npm", "pnpm", "yarn", "yarn-berry", "bun"},
		Usage: []artifacttypes.Usage{
			{Client: "npm", Command: "npm config set registry " + artifacttypes.Base + "/"},
		},
	}
}

func checkWindow(value string) error {
	if value == "always" || value == "0" {
		return nil
	}
	if d, err := time.ParseDuration(value); err != nil || d < 0 {
		return errors.New(`want a duration such as 72h, "0" or "always"`)
	}
	return nil
}

func checkOldNames(value string) error {
	if value != "import" && value != "publish" {
		return errors.New(`want "import" or "publish"`)
	}
	return nil
}

// Canonical checks a name, which has one spelling, and cuts the build metadata
// off a version.
func (Format) Canonical(pkg, version string) (string, string, error) {
	if pkg != "" {
		if err := parseName(pkg); err != nil {
			return "", "", err
		}
	}
	if version == "" {
		return pkg, "", nil
	}
	version, err := canonical(version)
	return pkg, version, err
}

// Repository maps "name" to one component and "@scope/name" to two.
func (Format) Repository(pkg string) (string, error) {
	if err := parseName(pkg); err != nil {
		return "", err
	}
	return artifacttypes.EncodePath(strings.Split(strings.TrimPrefix(pkg, "@"), "/")...)
}

// Tag is the version itself.
func (Format) Tag(version string) (registry.Tag, error) {
	if v, err := canonical(version); err != nil || v != version {
		return "", artifacttypes.Invalid("%q is not a version in its canonical form", clip(version))
	}
	return artifacttypes.SemverTag(version)
}

// Label accepts dist-tags.
func (Format) Label(label string) error { return checkLabel(label) }

// WriteError writes {"error": sentence}, which all clients show, but for npm at
// 401: it chooses its words by the challenge. Bearer has it say to log in, and
// Basic alone that the password is wrong, see [wrongPassword].
func (Format) WriteError(w http.ResponseWriter, r *http.Request, e *registry.Error) {
	if h := w.Header(); e.Code == registry.Unauthorized && h.Get("WWW-Authenticate") == "" {
		h.Set("WWW-Authenticate", `Bearer realm="packhouse", `+artifacttypes.Challenge)
	}
	status := artifacttypes.ErrorHeader(w, e)
	if e.Code == registry.VersionExists { // at 409 old clients merge and try again
		status = http.StatusForbidden
	}
	message := e.Message
	if message == "" {
		message = http.StatusText(status)
	}
	artifacttypes.WriteBody(w, r, status, "application/json", encode(map[string]string{"error": message}))
}

// sentence is what a client may read of err.
func sentence(err error) string { return registry.Public(err).Message }
