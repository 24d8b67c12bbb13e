package maven

import (
	"slices"
	"strings"
)

// versionParser builds the tree of lists, of which each but the first is the
// last item of the one before.
type versionParser struct {
	lists [][]item
}

func (p *versionParser) add(i item) {
	last := len(p.lists) - 1
	p.lists[last] = append(p.lists[last], i)
}

// open starts a list inside the present one.
func (p *versionParser) open() { p.lists = append(p.lists, nil) }

// empty tells whether the present list has no item yet.
func (p *versionParser) empty() bool { return len(p.lists[len(p.lists)-1]) == 0 }

// close folds the lists into one and drops from each what says nothing at its
// end: 1.0.0 is 1, 1-ga is 1.
func (p *versionParser) close() item {
	var inner *item
	for _, list := range slices.Backward(p.lists) {
		if inner != nil {
			list = append(list, *inner)
		}
		inner = &item{kind: listItem, list: normalize(list)}
	}
	return *inner
}

// normalize removes the null items that end list, and those before the lists
// that end it.
func normalize(list []item) []item {
	kept := list
	for i, one := range slices.Backward(list) {
		if one.isNull() {
			kept = slices.Delete(kept, i, i+1)
		} else if one.kind != listItem {
			break
		}
	}
	return kept
}

// parseVersion reads any string: "." separates items, "-" opens a list, and so
// does each change between digits and letters.
func parseVersion(version string) item {
	version = strings.ToLower(version)
	p := versionParser{lists: [][]item{nil}}
	start, digits := 0, false
	part := func(end int) item {
		switch s := version[start:end]; {
		case s == "", digits:
			return newNumber(s)
		default:
			return newText(s, false)
		}
	}
	for i := range len(version) {
		switch c := version[i]; {
		case c == '.':
			p.add(part(i))
			start = i + 1
		case c == '-':
			p.add(part(i))
			start = i + 1
			p.open()
		case isDigit(c):
			if !digits && i > start {
				if !p.empty() {
					p.open()
				}
				p.add(newText(version[start:i], true))
				start = i
				p.open()
			}
			digits = true
		default:
			if digits && i > start {
				p.add(part(i))
				start = i
				p.open()
			}
			digits = false
		}
	}
	if start < len(version) {
		if !digits && !p.empty() {
			p.open()
		}
		p.add(part(len(version)))
	}
	return p.close()
}
