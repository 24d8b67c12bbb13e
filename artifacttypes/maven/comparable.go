package maven

import (
	"cmp"
	"slices"
	"strings"
)

// compareVersions orders versions as Maven does, "Version Order Specification"
// of the POM reference: numbers by value, qualifiers by their meaning,
// anything else as text. Versions that are equal to Maven are ordered as text.
func compareVersions(a, b string) int {
	return cmp.Or(parseVersion(a).compare(parseVersion(b)), strings.Compare(a, b))
}

// sortVersions sorts by [compareVersions] and parses each version once.
func sortVersions(versions []string) {
	slices.Sort(versions) // Maven's order is not transitive in every corner: start from the same
	type entry struct {
		text string
		key  item
	}
	entries := make([]entry, len(versions))
	for i, v := range versions {
		entries[i] = entry{v, parseVersion(v)}
	}
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(a.key.compare(b.key), strings.Compare(a.text, b.text))
	})
	for i, e := range entries {
		versions[i] = e.text
	}
}

// An item is one part of a version: a number, a qualifier, or a list of items
// that a hyphen, or a change between digits and letters, opened.
type item struct {
	kind   itemKind
	number string // digits without leading zeros, "" for zero
	text   string // of a qualifier
	list   []item
}

type itemKind uint8

const (
	noItem itemKind = iota // stands for a part that only the other version has
	numberItem
	textItem
	listItem
)

// qualifiers known to Maven, in their order; "" is a release.
var qualifiers = []string{"alpha", "beta", "milestone", "rc", "snapshot", "", "sp"}

func newText(s string, beforeDigit bool) item {
	if beforeDigit {
		switch s {
		case "a":
			s = "alpha"
		case "b":
			s = "beta"
		case "m":
			s = "milestone"
		}
	}
	switch s {
	case "ga", "final", "release":
		s = ""
	case "cr":
		s = "rc"
	}
	return item{kind: textItem, text: s}
}

func newNumber(s string) item {
	return item{kind: numberItem, number: strings.TrimLeft(s, "0")}
}

// isNull tells whether i says as much as if it were not there.
func (i item) isNull() bool {
	switch i.kind {
	case numberItem:
		return i.number == ""
	case textItem:
		return i.text == ""
	case listItem:
		return len(i.list) == 0
	case noItem:
	}
	return true
}

func compareText(a, b string) int {
	rank := func(s string) (int, string) {
		if i := slices.Index(qualifiers, s); i >= 0 {
			return i, ""
		}
		return len(qualifiers), s // unknown ones follow, as text
	}
	ra, ta := rank(a)
	rb, tb := rank(b)
	return cmp.Or(cmp.Compare(ra, rb), strings.Compare(ta, tb))
}

// compare orders items of different kinds as 1-rc < 1 < 1-sp < 1-1 < 1.1.
func (i item) compare(o item) int {
	switch i.kind {
	case numberItem:
		switch o.kind {
		case noItem, numberItem:
			return cmp.Or(cmp.Compare(len(i.number), len(o.number)), strings.Compare(i.number, o.number))
		case textItem, listItem:
		}
		return 1
	case textItem:
		switch o.kind {
		case noItem, textItem:
			return compareText(i.text, o.text)
		case numberItem, listItem:
		}
		return -1
	case listItem:
		switch o.kind {
		case numberItem:
			return -1
		case textItem:
			return 1
		case noItem, listItem:
		}
		return slices.CompareFunc(pad(i.list, len(o.list)), pad(o.list, len(i.list)), item.compare)
	case noItem:
	}
	if o.kind == noItem {
		return 0
	}
	return -o.compare(i)
}

// pad fills list up to n with items that are not there.
func pad(list []item, n int) []item {
	for len(list) < n {
		list = append(slices.Clip(list), item{})
	}
	return list
}
