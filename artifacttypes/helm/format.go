package helm

import (
	"net/http"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// Format is Helm.
type Format struct{}

var _ artifacttypes.Format = Format{}

const (
	configType    = "application/vnd.cncf.helm.config.v1+json" // Helm's; a manifest's artifact type, too
	chartType     = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
	oldChartType  = "application/tar+gzip" // Helm's before 3.0
	provType      = "application/vnd.cncf.helm.chart.provenance.v1.prov"
	ownType       = "application/vnd.packhouse.helm.v1" // pushed by other clients than Helm
	ownConfigType = "application/vnd.packhouse.helm.config.v1+json"
)

// Kinds of fragments and documents.
const (
	entryFragment = "entry" // one version's element of a list, JSON

	indexDocument    = "index"    // index.yaml
	chartsDocument   = "charts"   // its entries alone
	versionsDocument = "versions" // one chart's
)

// Info implements [artifacttypes.Format].
func (Format) Info() artifacttypes.Info {
	return artifacttypes.Info{
		Name:          "helm",
		Title:         "Helm",
		Parser:        1,
		ArtifactTypes: []string{configType, ownType},
		Sums:          []string{"sha256"},
		Fragments:     []string{entryFragment},
		Documents: []artifacttypes.Document{
			// The time is no news: what the index holds is its ETag's to say.
			{
				Name: indexDocument, Type: "application/yaml", Feed: true, Fragments: []string{entryFragment},
				Head: `{"apiVersion":"v1","generated":"1970-01-01T00:00:00Z","entries":{` + "\n", Separator: ",\n", Tail: "\n}}\n",
			},
			{Name: chartsDocument, Type: jsonType, Feed: true, Fragments: []string{entryFragment}, Head: "{", Separator: ",\n", Tail: "}\n"},
			{Name: versionsDocument, Type: jsonType},
		},
		Clients: []string{"helm"},
		Usage:   []artifacttypes.Usage{{Client: "helm", Command: "helm repo add packhouse " + artifacttypes.Base + "/"}},
	}
}

// Canonical leaves both as they are: each spelling is another chart or version
// to Helm. See [artifacttypes.Format].
func (Format) Canonical(pkg, version string) (string, string, error) {
	if err := checkName(pkg); err != nil {
		return "", "", registry.E("helm.Canonical", registry.NameInvalid, nil, "%.80q is not the name of a chart", pkg)
	}
	if version != "" {
		if err := checkVersion(version); err != nil {
			return "", "", err
		}
	}
	return pkg, version, nil
}

// Repository implements [artifacttypes.Format].
func (Format) Repository(pkg string) (string, error) { return artifacttypes.EncodePath(pkg) }

// Tag has "_" for "+", as Helm's tags. See [artifacttypes.Format].
func (Format) Tag(version string) (registry.Tag, error) {
	if err := checkVersion(version); err != nil {
		return "", err
	}
	return artifacttypes.SemverTag(version)
}

// Label takes words, which Helm's clients do not look at. See [artifacttypes.Format].
func (Format) Label(label string) error {
	if label == "" || (label[0]|' ') < 'a' || (label[0]|' ') > 'z' {
		return artifacttypes.Invalid("%q is neither a chart's version nor a label: those start with a letter", label)
	}
	if _, err := semver.NewVersion(strings.ReplaceAll(label, "_", "+")); err == nil || strings.HasPrefix(label, "v--") {
		return artifacttypes.Invalid("%s cannot be a label, since it could be a chart's version", label)
	}
	return nil
}

const jsonType = "application/json"

// Routes implements [artifacttypes.Format].
func (Format) Routes() []artifacttypes.Route {
	const get, post, del = http.MethodGet, http.MethodPost, http.MethodDelete
	const read, list, create, withdraw = registry.Read, registry.List, registry.Create, registry.Withdraw
	return []artifacttypes.Route{
		{Name: "index", Method: get, Pattern: "/index.yaml", Verb: list, Serve: serveIndex},
		{Name: "info", Method: get, Pattern: "/info", Verb: read, Serve: serveInfo},
		{Name: "health", Method: get, Pattern: "/health", Verb: read, Serve: serveHealth},
		{Name: "download", Method: get, Pattern: "/charts/{file}", Verb: read, Serve: download},
		{Name: "download", Method: get, Pattern: "/charts/{name}/{file}", Verb: read, Serve: download},
		{Name: "download", Method: get, Pattern: "/{file}", Verb: read, Serve: download},

		{Name: "api_charts", Method: get, Pattern: "/charts", API: true, Verb: list, Serve: listCharts},
		{Name: "api_upload", Method: post, Pattern: "/charts", API: true, Verb: create, Serve: uploadChart},
		{Name: "api_upload", Method: post, Pattern: "/prov", API: true, Verb: create, Serve: uploadProvenance},
		{Name: "api_versions", Method: get, Pattern: "/charts/{name}", API: true, Verb: read, Serve: listVersions},
		{Name: "api_version", Method: get, Pattern: "/charts/{name}/{version}", API: true, Verb: read, Serve: serveVersion},
		{Name: "api_withdraw", Method: del, Pattern: "/charts/{name}/{version}", API: true, Verb: withdraw, Serve: withdrawVersion},
		{Name: "api_values", Method: get, Pattern: "/charts/{name}/{version}/values", API: true, Verb: read, Serve: serveValues},
	}
}

// WriteError is the JSON that ChartMuseum's clients print.
func (Format) WriteError(w http.ResponseWriter, r *http.Request, e *registry.Error) {
	message := e.Message
	if e.Code == registry.VersionExists && r.URL.Query().Has("force") {
		message += "; to force it is of no use: publish another version"
	}
	status := artifacttypes.ErrorHeader(w, e)
	artifacttypes.SetReason(w, message) // all that `helm repo` and `helm pull` show
	if err := artifacttypes.WriteJSON(w, r, status, map[string]string{"error": message}); err != nil {
		artifacttypes.WriteBody(w, r, http.StatusInternalServerError, jsonType, []byte(`{"error":"internal error"}`))
	}
}
