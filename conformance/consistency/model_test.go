package consistency

import (
	"fmt"
	"maps"
	"slices"

	"github.com/anishathalye/porcupine"
)

// verb is what a client does to one tag.
type verb string

const (
	get  verb = "get"  // its content, by GET or HEAD
	list verb = "list" // whether it is among the tags of its repository
	put  verb = "put"
	del  verb = "delete"
)

// step is an operation on one tag, as the checker sees it: the tag is a register that holds a digest or nothing.
type step struct {
	tag   string
	verb  verb
	value string // digest that a put sets
	// match is what the register must hold: nil for no condition, "" for absent.
	match *string
}

// fate is how a step ended.
type fate string

const (
	done    fate = "done"
	refused fate = "refused" // the condition did not hold
	absent  fate = "absent"  // a delete found nothing
	unknown fate = "unknown" // it may have happened, may happen later, or never
)

// outcome is what a client learnt of a step.
type outcome struct {
	fate  fate
	value string // what a get brought, "" for absent
	there bool   // what a list said
}

// register is the sequential specification of a tag.
func register() porcupine.NondeterministicModel {
	return porcupine.NondeterministicModel{
		Partition:         byTag,
		Init:              func() []any { return []any{""} },
		Step:              func(state, in, out any) []any { return after(state.(string), in.(step), out.(outcome)) },
		Equal:             func(a, b any) bool { return a == b },
		DescribeOperation: func(in, out any) string { return in.(step).String() + " → " + out.(outcome).of(in.(step)) },
		DescribeState:     func(state any) string { return short(state.(string)) },
	}
}

// after returns the states that a step may lead to from held, none if it cannot have ended like this.
func after(held string, in step, out outcome) []any {
	holds := in.match == nil || *in.match == held
	next := in.value
	if in.verb == del {
		next = ""
		holds = holds && held != ""
	}
	possible := false
	switch {
	case in.verb == get:
		possible, next = out.value == held, held
	case in.verb == list:
		possible, next = out.there == (held != ""), held
	case out.fate == unknown && holds:
		return []any{held, next}
	case out.fate == unknown:
		possible, next = true, held
	case out.fate == done:
		possible = holds
	case out.fate == refused:
		possible, next = in.match != nil && *in.match != held, held
	case out.fate == absent:
		possible, next = in.verb == del && held == "", held
	}
	if !possible {
		return nil
	}
	return []any{next}
}

// byTag parts a history: what happens to one tag says nothing of another.
func byTag(history []porcupine.Operation) [][]porcupine.Operation {
	parts := map[string][]porcupine.Operation{}
	for _, op := range history {
		tag := op.Input.(step).tag
		parts[tag] = append(parts[tag], op)
	}
	var all [][]porcupine.Operation
	for _, tag := range slices.Sorted(maps.Keys(parts)) {
		all = append(all, parts[tag])
	}
	return all
}

func (s step) String() string {
	text := string(s.verb) + " " + s.tag
	if s.verb == put {
		text += " " + short(s.value)
	}
	switch {
	case s.match == nil:
	case *s.match == "":
		text += " if absent"
	default:
		text += " if " + short(*s.match)
	}
	return text
}

func (o outcome) of(s step) string {
	switch s.verb {
	case get:
		return short(o.value)
	case list:
		if o.there {
			return "listed"
		}
		return "not listed"
	case put, del:
	}
	return string(o.fate)
}

// short is enough of a digest to tell it from others.
func short(digest string) string {
	if digest == "" {
		return "nothing"
	}
	return fmt.Sprintf("%.8s", digest[len("sha256:"):])
}
