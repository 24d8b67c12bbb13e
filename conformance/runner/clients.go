package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// clients runs the client tests and, when all of them passed, writes the support matrix.
func clients(ctx context.Context, e *environment) []result {
	if err := e.awaitTools(); err != nil {
		return []result{{name: "clients", err: err}}
	}
	out, err := e.command(ctx, "clients", e.module, nil, "go", "test", "-json", "-count=1", "-timeout=20m", "./clients")
	events := parseEvents(out)
	rows := verdicts(events, 2) // TestName/HTTP, TestName/TLS
	// A test that fails before it has a server has no such row.
	for _, r := range verdicts(events, 1) {
		if r.err != nil && !hasPrefix(rows, r.name+"/") {
			rows = append(rows, r)
		}
	}
	table := matrixOf(events)
	for i, r := range rows {
		name, transport, _ := strings.Cut(r.name, "/")
		rows[i].name = strings.TrimPrefix(name, "Test") + " " + transport
		rows[i].note = fmt.Sprintf("%d uses", table.count(name, transport))
	}
	switch {
	case len(rows) == 0 && err != nil:
		return []result{{name: "clients", err: errors.Join(errors.New("no client test ran"), err)}}
	case len(rows) == 0:
		return []result{{name: "clients", err: errors.New("no client test was found")}}
	case err != nil:
		return rows // the matrix shows what passes: it is written from a run in which all did
	}
	return append(rows, measure("support matrix", func() (string, error) { return "conformance/README.md", table.write(e.module) }))
}

func hasPrefix(results []result, prefix string) bool {
	for _, r := range results {
		if strings.HasPrefix(r.name, prefix) {
			return true
		}
	}
	return false
}
