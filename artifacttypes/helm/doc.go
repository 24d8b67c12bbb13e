// Package helm keeps Helm charts, and serves them the three ways that charts
// are served: as OCI artifacts, as a classic repository with an index.yaml, and
// by ChartMuseum's API.
//
//	chart web 1.2.3+b4          FEED/web:1.2.3_b4
//	the archive                 the layer of Helm's chart content type
//	its provenance              the layer of Helm's provenance type
//	Chart.yaml                  the config, as JSON
//
// A manifest is Helm's own, whoever published the chart: it has no artifact
// type but its config's, its layers have no titles, and its annotations are
// made of Chart.yaml. A push by another OCI client has this registry's artifact
// type and keeps it.
//
// What a chart is comes from the Chart.yaml in its archive, which is read as
// Helm reads it: YAML 1.1, made JSON, decoded into known fields.
//
//	GET  /index.yaml                     the index: JSON, which is YAML
//	GET  /charts/NAME-VERSION.tgz[.prov] an archive, its provenance
//	POST /api/FEED/charts                ChartMuseum's API
//
// Protocols: https://helm.sh/docs/topics/registries/,
// https://helm.sh/docs/topics/chart_repository/,
// https://github.com/helm/chartmuseum#api.
package helm
