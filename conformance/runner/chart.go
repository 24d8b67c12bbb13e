package main

import (
	"context"
	"slices"

	"github.com/packhouse/packhouse/conformance/tools"
)

// chartSteps hold what a registry is deployed with to what it says.
func chartSteps() []step {
	return []step{
		{name: "image", what: "the container image, built by a Docker Engine, run as nobody and read-only, pushed into itself", run: image},
		{
			name: "chart", what: "the Helm chart: rendered, validated, refused, and started with real services",
			packages: slices.Concat(tools.DebianPackages(), tools.DebianServices()),
			tools:    slices.Concat(tools.Clients(), tools.ChartTools(), tools.Services()), run: chart,
		},
	}
}

func image(ctx context.Context, e *environment) []result {
	_, results := e.goTest(ctx, "image", "20m", "./image")
	return results
}

func chart(ctx context.Context, e *environment) []result {
	_, results := e.goTest(ctx, "chart", "10m", "./chart")
	return results
}
