package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// matrix is the support matrix: per client its uses, and over which transports each passed.
type matrix map[string]*clientRow // by test name

type clientRow struct {
	client, version string
	uses            []string
	passed          map[string]map[string]bool
}

// matrixOf reads a run's events: the attributes client and version of a test, and its passed TestName/TRANSPORT/use.
func matrixOf(events []event) matrix {
	m := matrix{}
	for _, ev := range events {
		parts := strings.SplitN(ev.Test, "/", 3)
		row := m[parts[0]]
		if row == nil {
			row = &clientRow{passed: map[string]map[string]bool{"HTTP": {}, "TLS": {}}}
			m[parts[0]] = row
		}
		switch {
		case ev.Action == "attr" && ev.Key == "client":
			row.client = ev.Value
		case ev.Action == "attr" && ev.Key == "version":
			row.version = ev.Value
		case len(parts) == 3 && ev.Action == "pass" && row.passed[parts[1]] != nil:
			use := strings.ReplaceAll(parts[2], "_", " ")
			row.passed[parts[1]][use] = true
			if !slices.Contains(row.uses, use) {
				row.uses = append(row.uses, use)
			}
		}
	}
	return m
}

func (m matrix) count(test, transport string) int {
	if row := m[test]; row != nil {
		return len(row.passed[transport])
	}
	return 0
}

// render holds nothing that changes when the same things pass again: no times, no dates.
func (m matrix) render() string {
	var b strings.Builder
	b.WriteString(clientsHead)
	rows := make([]*clientRow, 0, len(m))
	for _, row := range m {
		if row.client != "" {
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, func(a, b *clientRow) int {
		return cmp.Or(cmp.Compare(strings.ToLower(a.client), strings.ToLower(b.client)), cmp.Compare(a.version, b.version))
	})
	for _, row := range rows {
		slices.Sort(row.uses) // HTTP and TLS run side by side: the order of their first passes is chance
		for _, use := range row.uses {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", row.client, row.version, use, tick(row.passed["HTTP"][use]), tick(row.passed["TLS"][use]))
		}
	}
	return b.String()
}

func tick(passed bool) string {
	if passed {
		return "✓"
	}
	return "–"
}
