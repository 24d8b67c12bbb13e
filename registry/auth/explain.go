package auth

import (
	"fmt"
	"slices"
	"strings"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// Explanation is one decision of a [Policy], rule by rule.
type Explanation struct {
	Principal  string `json:"principal"`
	Verb       string `json:"verb"`
	Repository string `json:"repository"`
	Allowed    bool   `json:"allowed"`
	// Rules are the principal's own grants, those of its groups by name, those
	// of everybody, each by id; then what else allows, then what narrows.
	Rules   []Rule `json:"rules"`
	Verdict string `json:"verdict"`
}

// What a rule did.
const (
	EffectNone  = "none"  // it is about something else
	EffectAllow = "allow" // enough, if nothing denies
	EffectDeny  = "deny"  // final
)

// Rule is one thing that was considered.
type Rule struct {
	Text    string `json:"text"`
	Effect  string `json:"effect"`
	Matched bool   `json:"matched"` // it is about this verb and repository
	Why     string `json:"why"`
}

// Explain decides as [Policy.May] and tells why. The id of a token of Docker's
// protocol is explained as far as the policy sees it: whether what its claims
// name is still the same, only the gate knows.
func (p *Policy) Explain(id *Identity, v registry.Verb, r registry.Repo) Explanation {
	x := explainer{policy: p, id: id, verb: v, name: string(r)}
	x.explain()
	e := Explanation{Principal: id.String(), Verb: v.String(), Repository: string(r), Rules: x.rules}
	e.Allowed, e.Verdict = x.verdict()
	return e
}

// String is the explanation for a terminal.
func (e Explanation) String() string {
	var b strings.Builder
	answer := "no"
	if e.Allowed {
		answer = "yes"
	}
	fmt.Fprintf(&b, "%s: %s, %s on %s\n", answer, e.Principal, e.Verb, named(registry.Repo(e.Repository)))
	for _, r := range e.Rules {
		fmt.Fprintf(&b, "  %-6s %s (%s)\n", r.Effect, r.Text, r.Why)
	}
	fmt.Fprintf(&b, "%s\n", e.Verdict)
	return b.String()
}

// explainer goes by the same rules as decide, one at a time.
type explainer struct {
	policy *Policy
	id     *Identity
	verb   registry.Verb
	name   string
	rules  []Rule

	granted, denied, narrowed string // the first rule that did each
}

func (x *explainer) explain() {
	switch {
	case x.verb == registry.Enter:
		x.allow("everybody may enter", "no grant is needed")
		return
	case bit(x.verb) == 0:
		x.deny("no such verb", "nothing grants it")
		return
	case x.id == nil:
		x.deny("nobody is logged in", "who is nobody may do nothing")
		return
	case x.id.Kind == Operator:
		x.allow("operators may do everything", "they have the data directory")
		return
	case x.id.Kind == Open:
		x.allow("the registry is open", "everybody may do everything")
		return
	}
	who := x.policy.party(x.id)
	if who == nil {
		x.deny(fmt.Sprintf("%s is disabled or is no more", x.id), "so it may do nothing, not even what everybody may")
		return
	}
	for _, s := range who.subjects {
		for _, r := range x.policy.rules {
			if r.subject == s {
				x.grant(r, who)
			}
		}
	}
	if who.trust != nil {
		x.trust(who.trust)
	}
	x.visibility()
	x.scope()
	x.claims()
}

func (x *explainer) add(text, effect string, matched bool, why string) {
	x.rules = append(x.rules, Rule{Text: text, Effect: effect, Matched: matched, Why: why})
}

func (x *explainer) allow(text, why string) {
	x.add(text, EffectAllow, true, why)
	if x.granted == "" {
		x.granted = text
	}
}

func (x *explainer) deny(text, why string) {
	x.add(text, EffectDeny, true, why)
	if x.denied == "" {
		x.denied = text
	}
}

func (x *explainer) none(text, why string) { x.add(text, EffectNone, false, why) }

// narrow is a deny by something that narrows what rules allow.
func (x *explainer) narrow(text, why string) {
	x.add(text, EffectDeny, true, why)
	if x.narrowed == "" {
		x.narrowed = text
	}
}

func (x *explainer) grant(r *rule, who *party) {
	text := x.policy.grantText(r)
	switch {
	case r.verbs == 0:
		x.none(text, "it is not understood and gives nothing")
	case !r.glob.Match(x.name):
		x.none(text, fmt.Sprintf("%s does not match %s", r.glob, named(registry.Repo(x.name))))
	case !r.verbs.Has(x.verb):
		x.none(text, fmt.Sprintf("%s is not about %s", r.verbs, x.verb))
	case r.deny:
		x.deny(text, fmt.Sprintf("a deny wins over every grant of %s", x.verb))
	case r.subject == everybody && !who.shared.Has(x.verb):
		x.none(text, "what a workload may change is said by its trust rule alone")
	default:
		x.allow(text, fmt.Sprintf("%s holds %s", r.verbs, x.verb))
	}
}

func (p *Policy) grantText(r *rule) string {
	verb, to := "allow", "everybody"
	if r.deny {
		verb = "deny"
	}
	switch {
	case r.subject > 0:
		row := p.principals[int64(r.subject)]
		to = row.Kind + ":" + row.Name
	case r.subject < 0:
		to = "group:" + p.groups[int64(-r.subject)].Name
	}
	text := fmt.Sprintf("grant %d: %s %s on %s to %s", r.grant.ID, verb, clip(r.grant.Role), clip(r.grant.Repositories), to)
	return text + boundTo(r.grant.NamespaceID, r.grant.Namespace)
}

func boundTo(namespaceID int64, namespace string) string {
	switch {
	case namespaceID == 0:
		return ""
	case namespace == "":
		return ", in the root namespace"
	}
	return ", in the namespace " + namespace
}

func (x *explainer) trust(r *rule) {
	row := x.policy.trusts[x.id.ID]
	text := trustText(row)
	switch {
	case r.verbs == 0:
		x.none(text, "it is not understood and gives nothing")
	case !r.glob.Match(x.name):
		x.none(text, fmt.Sprintf("%s does not match %s", r.glob, named(registry.Repo(x.name))))
	case !r.verbs.Has(x.verb):
		x.none(text, fmt.Sprintf("%s does not hold %s", r.verbs, x.verb))
	default:
		x.allow(text, fmt.Sprintf("%s holds %s", r.verbs, x.verb))
	}
}

func trustText(row meta.Trust) string {
	return fmt.Sprintf("trust rule %s: allow %s on %s", row.Name, clip(row.Role), clip(row.Repositories)) + boundTo(row.NamespaceID, row.Namespace)
}

func (x *explainer) visibility() {
	public, where, exact, set := x.policy.visible.setting(x.name)
	what, is := "everything below "+where, "private"
	switch {
	case exact:
		what = where
	case where == "":
		what = "the root namespace"
	}
	if public {
		is = "public"
	}
	switch text := fmt.Sprintf("visibility: %s is %s", what, is); {
	case !set:
		x.none("visibility: nothing is set", "what is not set is private")
	case !public:
		x.none(text, "private gives nothing by itself")
	case !reading.Has(x.verb):
		x.none(text, "public is about read and list alone")
	default:
		x.allow(text, "everybody may read and list what is public")
	}
}

func (x *explainer) scope() {
	if x.id.Scope == nil {
		return
	}
	var list []string
	for _, s := range x.id.Scope {
		text := fmt.Sprintf("%s on %s", clip(s.Role), clip(s.Repositories))
		if r := x.policy.entry(s); r.verbs.Has(x.verb) && r.glob.Match(x.name) {
			x.add("the token's scope: "+text, EffectNone, true, "it lets through what the rules allow")
			return
		}
		list = append(list, text)
	}
	if list == nil {
		list = []string{"nothing"}
	}
	x.narrow("the token's scope: "+strings.Join(list, "; "), fmt.Sprintf("it does not cover %s there", x.verb))
}

func (x *explainer) claims() {
	if x.id.Claims == nil {
		return
	}
	if x.policy.claimed(x.id, x.verb, registry.Repo(x.name), exactly) {
		x.add("the token's claims", EffectNone, true, "they list it")
		return
	}
	x.narrow("the token's claims", fmt.Sprintf("they do not list %s there", x.verb))
}

// verdict sums the rules up. It is what they come to, not what May said: tests
// hold the two together.
func (x *explainer) verdict() (bool, string) {
	switch {
	case x.denied != "":
		return false, "Refused: " + x.denied + "."
	case x.granted == "":
		hint := ""
		if role := LeastRole(x.verb); role != "" {
			hint = fmt.Sprintf("; it takes at least the role %s", role)
		}
		return false, "Refused: nothing allows it" + hint + "."
	case x.narrowed != "":
		return false, "Refused: " + x.narrowed + "."
	}
	others := slices.ContainsFunc(x.rules, func(r Rule) bool { return r.Effect == EffectAllow && r.Text != x.granted })
	if others {
		return true, "Allowed: " + x.granted + ", and others."
	}
	return true, "Allowed: " + x.granted + "."
}
