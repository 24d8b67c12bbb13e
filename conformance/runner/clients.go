package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// clients runs the client tests and those of access and, when all of either passed, writes what they showed.
func clients(ctx context.Context, e *environment) []result {
	return append(openClients(ctx, e), knownClients(ctx, e)...)
}

// knownClients are those that log in.
func knownClients(ctx context.Context, e *environment) []result {
	out, results := e.goTest(ctx, "access", "20m", "./access")
	if slices.ContainsFunc(results, failed) {
		return results
	}
	return append(results, measure("access", func() (string, error) {
		uses := usesOf(parseEvents(out))
		return fmt.Sprintf("%d uses of clients, in conformance/README.md", len(uses)), writeSection(e.module, accessHeading, accessHead+renderAccess(uses))
	}))
}

func renderAccess(uses []clientUse) string {
	var b strings.Builder
	for _, u := range uses {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", u.client, u.version, u.use)
	}
	return b.String()
}

// openClients are those of a registry that is open to everybody.
func openClients(ctx context.Context, e *environment) []result {
	out, err := e.command(ctx, "clients", e.module, nil, "go", "test", "-json", "-count=1", "-timeout=20m", "./clients")
	events := parseEvents(out)
	table := matrixOf(events)
	rows := clientRows(events, table)
	switch {
	case len(rows) == 0:
		return []result{{name: "clients", err: errors.Join(errors.New("no client test ran"), err)}}
	case err != nil && !slices.ContainsFunc(rows, failed):
		return append(rows, result{name: "clients", err: fmt.Errorf("no test failed, but the run did: %w", err)})
	case err != nil:
		return rows // the matrix shows what passes: it is written from a run in which all did
	}
	return append(rows, measure("support matrix", func() (string, error) {
		return "conformance/README.md", writeSection(e.module, clientsHeading, table.render())
	}))
}

// clientRows makes a result of each client over each transport.
func clientRows(events []event, table matrix) []result {
	rows := verdicts(events, 2)
	// What fails before or after both transports, such as stopping a daemon, has no such row.
	for _, r := range verdicts(events, 1) {
		if r.err != nil && !slices.ContainsFunc(rows, func(row result) bool { return failed(row) && strings.HasPrefix(row.name, r.name+"/") }) {
			rows = append(rows, r)
		}
	}
	for i, r := range rows {
		name, transport, _ := strings.Cut(r.name, "/")
		rows[i].name = strings.TrimSpace(strings.TrimPrefix(name, "Test") + " " + transport)
		rows[i].note = fmt.Sprintf("%d uses", table.count(name, transport))
	}
	return rows
}

func failed(r result) bool { return r.err != nil }
