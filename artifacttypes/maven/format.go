package maven

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

const (
	artifactType = "application/vnd.packhouse.maven.v1"
	configType   = "application/vnd.packhouse.maven.config.v1+json"

	settingPolicy = "policy"
	settingKeep   = "snapshots_keep"
)

// Format is Maven.
type Format struct{}

var _ artifacttypes.Format = Format{}

// Info implements [artifacttypes.Format].
func (Format) Info() artifacttypes.Info {
	return artifacttypes.Info{
		Name:          "maven",
		Title:         "Maven",
		Parser:        1,
		ArtifactTypes: []string{artifactType},
		Sums:          []string{"md5", "sha1", "sha256", "sha512"},
		Fragments:     []string{fragmentVersion, fragmentBuild, fragmentPlugin},
		Documents: []artifacttypes.Document{
			{Name: documentMetadata, Type: "text/xml"},
			{Name: documentSnapshots, Type: "application/json"},
			{Name: documentPlugins, Type: "application/x-ndjson", Feed: true, Fragments: []string{fragmentPlugin}},
		},
		Settings: []artifacttypes.Setting{
			{Key: settingPolicy, Default: "mixed", Doc: "what may be published: release, snapshot or mixed (both)", Check: checkPolicy},
			{Key: settingKeep, Default: "10", Doc: "how many builds of a snapshot stay when a newer one is published; 0 keeps all", Check: checkKeep},
		},
		Clients: []string{"mvn", "gradle", "coursier", "sbt"},
		Usage: []artifacttypes.Usage{
			{Client: "mvn", Command: "mvn deploy -DaltDeploymentRepository=acme::default::" + artifacttypes.Base + "/"},
			{Client: "gradle", Command: "repositories { maven { url = uri(\"" + artifacttypes.Base + "/\") } }"},
		},
	}
}

func checkPolicy(value string) error {
	switch value {
	case "mixed", "release", "snapshot":
		return nil
	}
	return registry.E("maven.Settings", registry.Unsupported, nil, "want mixed, release or snapshot")
}

func checkKeep(value string) error {
	if n, err := strconv.Atoi(value); err != nil || n < 0 {
		return registry.E("maven.Settings", registry.Unsupported, nil, "want a number of builds, 0 to keep all")
	}
	return nil
}

// Canonical implements [artifacttypes.Format]: coordinates are what they are,
// letter by letter.
func (Format) Canonical(pkg, version string) (string, string, error) {
	if _, _, err := splitPackage(pkg); err != nil {
		return "", "", err
	}
	if version == "" {
		return pkg, "", nil
	}
	return pkg, version, checkVersion(version)
}

// Repository implements [artifacttypes.Format]: the group whole, then the artifact.
func (Format) Repository(pkg string) (string, error) {
	group, artifact, err := splitPackage(pkg)
	if err != nil {
		return "", err
	}
	return artifacttypes.EncodePath(group, artifact)
}

// Tag implements [artifacttypes.Format].
func (Format) Tag(version string) (registry.Tag, error) {
	if err := checkVersion(version); err != nil {
		return "", err
	}
	return artifacttypes.EscapeTag(version)
}

// Label implements [artifacttypes.Format]: a snapshot's version, as a tag,
// points to its newest build.
func (Format) Label(label string) error {
	if label == snapshot || strings.HasSuffix(label, "-"+snapshot) {
		return nil
	}
	return artifacttypes.Invalid("the tag %q is no version of a file in the manifest: push the version itself, or VERSION-SNAPSHOT for the newest build of a snapshot", clip(label))
}

// Routes implements [artifacttypes.Format]. Every path is a repository path.
func (Format) Routes() []artifacttypes.Route {
	route := func(name, method, pattern string, verb registry.Verb, serve func(http.ResponseWriter, *http.Request, artifacttypes.View) error) artifacttypes.Route {
		return artifacttypes.Route{Name: name, Method: method, Pattern: pattern, Verb: verb, Serve: serve}
	}
	return []artifacttypes.Route{
		route("root", http.MethodGet, "/", registry.Read, get),
		route("get", http.MethodGet, "/{path...}", registry.Read, get),
		route("put", http.MethodPut, "/{path...}", registry.Create, put),
		route("post", http.MethodPost, "/{path...}", registry.Create, put),
		route("delete", http.MethodDelete, "/{path...}", registry.Withdraw, remove),
	}
}

// WriteError implements [artifacttypes.Format]. A refused write is told by
// Problem Details (RFC 9457), which newer Maven shows to its user. For reads
// the body is plain text: that Maven takes a 404 with Problem Details for a
// failure of the repository instead of an artifact that is not there.
func (Format) WriteError(w http.ResponseWriter, r *http.Request, e *registry.Error) {
	status := artifacttypes.ErrorHeader(w, e)
	message := e.Message
	if id := registry.RequestID(r.Context()); id != "" && e.Code == registry.Internal {
		message += " (request " + id + ")"
	}
	reading := r.Method == http.MethodGet || r.Method == http.MethodHead
	if !reading || status == http.StatusForbidden {
		artifacttypes.SetReason(w, message) // all that older Maven and Gradle show
	}
	if reading || status == http.StatusUnauthorized {
		artifacttypes.WriteBody(w, r, status, "text/plain; charset=utf-8", []byte(message+"\n"))
		return
	}
	writeProblem(w, r, status, message)
}
