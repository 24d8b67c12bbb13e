// Package chart holds charts/packhouse to what it says, with the real helm.
//
//	testdata/NAME.yaml    values; default.yaml and production.yaml stand for the chart's own
//	testdata/NAME.golden  what helm makes of them; go test ./chart -update rewrites it
//
// Every manifest is validated against the schemas of the oldest and the newest Kubernetes that the chart is for, decoded
// strictly into the types of its API, judged by Kubernetes' own Pod Security checks, and checked for references that lead
// nowhere. The container's arguments, environment and files then start the real binary.
//
// charts/packhouse/values.schema.json is made from values.yaml and from `packhouse config schema`; the same flag rewrites it.
package chart
