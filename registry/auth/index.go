package auth

import (
	"iter"
	"slices"
	"strings"

	"github.com/packhouse/packhouse/storage/meta"
)

// index finds the rules that can be about a name by the segments that their
// globs begin with: those at the name, above it and, for what is below it,
// below it.
type index struct {
	at   map[string]map[subject][]*rule // by Glob.literal
	keys []string                       // of at, sorted
}

func newIndex(rules []*rule) index {
	x := index{at: map[string]map[subject][]*rule{}}
	for _, r := range rules {
		if r.verbs == 0 {
			continue
		}
		bySubject := x.at[r.glob.literal]
		if bySubject == nil {
			bySubject = map[subject][]*rule{}
			x.at[r.glob.literal] = bySubject
			x.keys = append(x.keys, r.glob.literal)
		}
		bySubject[r.subject] = append(bySubject[r.subject], r)
	}
	slices.Sort(x.keys)
	return x
}

// above yields name, all that it lies below, and "".
func above(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for yield(name) && name != "" {
			name = name[:max(strings.LastIndexByte(name, '/'), 0)]
		}
	}
}

// below is the part of sorted that lies below name.
func below(sorted []string, name string) []string {
	if name == "" {
		first, _ := slices.BinarySearch(sorted, "\x00")
		return sorted[first:]
	}
	first, _ := slices.BinarySearch(sorted, name+"/")
	last, _ := slices.BinarySearch(sorted, name+"0") // the byte after '/'
	return sorted[first:last]
}

// visibility is who sees what is not granted.
type visibility struct {
	exact map[string]bool // of a repository: true for public
	tree  map[string]bool // of a namespace or feed, for all below it, too
	keys  [2][]string     // of both, private and public, sorted
}

func newVisibility(rows []meta.Visible) visibility {
	v := visibility{exact: map[string]bool{}, tree: map[string]bool{}}
	for _, row := range rows {
		settings := v.tree
		if row.Exact {
			settings = v.exact
		}
		if public, twice := settings[string(row.Name)]; twice && !public {
			continue // private, if a namespace and a feed disagree
		}
		settings[string(row.Name)] = row.Public
	}
	for _, settings := range []map[string]bool{v.exact, v.tree} {
		for name, public := range settings {
			i := 0
			if public {
				i = 1
			}
			v.keys[i] = append(v.keys[i], name)
		}
	}
	slices.Sort(v.keys[0])
	slices.Sort(v.keys[1])
	return v
}

// setting finds what decides about name: the setting of the repository itself,
// or the nearest of name and what is above it; false for none.
func (v *visibility) setting(name string) (public bool, where string, exact, ok bool) {
	if public, ok := v.exact[name]; ok {
		return public, name, true, true
	}
	if len(v.tree) > 0 {
		for at := range above(name) {
			if public, ok := v.tree[at]; ok {
				return public, at, false, true
			}
		}
	}
	return false, "", false, false
}

// public tells whether everybody sees name.
func (v *visibility) public(name string) bool {
	public, _, _, _ := v.setting(name)
	return public
}

// inherited tells whether everybody sees what is below name and has no nearer
// setting.
func (v *visibility) inherited(name string) bool {
	for at := range above(name) {
		if public, ok := v.tree[at]; ok {
			return public
		}
	}
	return false
}

// some tells whether everybody sees anything at prefix or below it.
func (v *visibility) some(prefix string) bool {
	return v.public(prefix) || v.inherited(prefix) || len(below(v.keys[1], prefix)) > 0
}

// all tells whether everybody sees prefix and all below it.
func (v *visibility) all(prefix string) bool {
	return v.public(prefix) && v.inherited(prefix) && len(below(v.keys[0], prefix)) == 0
}
