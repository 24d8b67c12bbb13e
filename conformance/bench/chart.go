package main

import (
	"fmt"
	"net/http"
)

// chart is one version of a Helm chart. Equal ones make equal bytes.
type chart struct{ name, version string }

func (c chart) pack() ([]byte, error) {
	meta := fmt.Sprintf("apiVersion: v2\nname: %s\nversion: %s\nappVersion: \"1.0\"\ndescription: A chart of the benchmark.\ntype: application\n"+
		"keywords: [benchmark, chart]\nmaintainers: [{name: The authors, email: authors@bench.invalid}]\n", c.name, c.version)
	return tarGzip([]named{
		{c.name + "/Chart.yaml", []byte(meta)},
		{c.name + "/values.yaml", []byte("replicas: 1\n")},
		{c.name + "/templates/config.yaml", []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\n")},
	})
}

// uploadChart sends a chart as ChartMuseum's clients do; feed is NAMESPACE/helm.
func (c *conn) uploadChart(feed string, packed []byte) error {
	_, _, err := c.do(request{method: http.MethodPost, target: "/api/" + feed + "/charts", header: "Content-Type: application/gzip\r\n", raw: packed, want: http.StatusCreated})
	return err
}
