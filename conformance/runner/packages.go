package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
)

// packages runs the tests of the package formats and, when all of them passed, writes what they showed.
func packages(ctx context.Context, e *environment) []result {
	out, results := e.goTest(ctx, "packages", "30m", "./packages")
	events := parseEvents(out)
	for _, part := range verdicts(events, 2) { // a test's own time leaves out that of its parallel parts
		name, _, _ := strings.Cut(strings.TrimPrefix(part.name, "Test"), "/")
		for i := range results {
			if results[i].name == "packages "+name {
				results[i].took = max(results[i].took, part.took)
			}
		}
	}
	if slices.ContainsFunc(results, failed) {
		return results
	}
	return append(results, measure("package formats", func() (string, error) {
		cells, uses := cellsOf(events), usesOf(events)
		return fmt.Sprintf("%d cells, %d uses of clients, in conformance/README.md", len(cells.passed), len(uses)),
			writeSection(e.module, packagesHeading, packagesHead+cells.render()+packagesClients+renderUses(uses))
	}))
}

// cells are those of TestMatrix/FORMAT/PUBLISH/INSTALL/CELL that passed.
type cells struct {
	passed  map[string]bool // by the whole name
	rows    []string        // FORMAT/PUBLISH/INSTALL, and
	columns []string        // CELL, in the order in which they ran first
}

func cellsOf(events []event) cells {
	c := cells{passed: map[string]bool{}}
	for _, ev := range events {
		name, ok := strings.CutPrefix(ev.Test, "TestMatrix/")
		if !ok || strings.Count(name, "/") != 3 || ev.Action != "pass" {
			continue
		}
		name = strings.ReplaceAll(name, "_", " ")
		i := strings.LastIndex(name, "/")
		row, column := name[:i], name[i+1:]
		c.passed[name] = true
		if !slices.Contains(c.rows, row) {
			c.rows = append(c.rows, row)
		}
		if !slices.Contains(c.columns, column) {
			c.columns = append(c.columns, column)
		}
	}
	slices.Sort(c.rows)
	return c
}

func (c cells) render() string {
	var b strings.Builder
	fmt.Fprintf(&b, "| format | published by | installed by | %s |\n| --- | --- | --- |%s\n", strings.Join(c.columns, " | "), strings.Repeat(" --- |", len(c.columns)))
	for _, row := range c.rows {
		fmt.Fprintf(&b, "| %s |", strings.ReplaceAll(row, "/", " | "))
		for _, column := range c.columns {
			fmt.Fprintf(&b, " %s |", tick(c.passed[row+"/"+column]))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// clientUse is a test that named a client by its attributes, and passed.
type clientUse struct{ format, client, version, use string }

func usesOf(events []event) []clientUse {
	attributes := map[string]map[string]string{} // by test
	var uses []clientUse
	for _, ev := range events {
		switch {
		case ev.Action == "attr":
			if attributes[ev.Test] == nil {
				attributes[ev.Test] = map[string]string{}
			}
			attributes[ev.Test][ev.Key] = ev.Value
		case ev.Action == "pass" && attributes[ev.Test]["use"] != "":
			a := attributes[ev.Test]
			uses = append(uses, clientUse{a["format"], a["client"], a["version"], a["use"]})
		}
	}
	slices.SortFunc(uses, func(a, b clientUse) int {
		return cmp.Or(cmp.Compare(a.format, b.format), cmp.Compare(strings.ToLower(a.client), strings.ToLower(b.client)), cmp.Compare(a.use, b.use))
	})
	return slices.Compact(uses)
}

func renderUses(uses []clientUse) string {
	var b strings.Builder
	for _, u := range uses {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", u.format, u.client, u.version, u.use)
	}
	return b.String()
}
