package npm

import (
	"encoding/json"
	"regexp"
	"strings"
)

var (
	personName  = regexp.MustCompile(`^[^(<]+`)
	personURL   = regexp.MustCompile(`\(([^()]+)\)`)
	personEmail = regexp.MustCompile(`<([^<>]+)>`)
)

// normalPeople makes objects of people written as "Name <email> (url)", and a
// list of keywords written as one text.
func normalPeople(pkg *object) {
	if v := pkg.get("author"); v != nil {
		pkg.set("author", person(v))
	}
	for _, key := range []string{"contributors", "maintainers"} {
		list, ok := elements(pkg.get(key))
		if !ok {
			continue
		}
		for i := range list {
			list[i] = person(list[i])
		}
		pkg.set(key, encode(list))
	}
	if s, ok := text(pkg.get("keywords")); ok {
		pkg.set("keywords", encode(strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })))
	}
}

func person(v json.RawMessage) json.RawMessage {
	s, ok := text(v)
	if !ok {
		return v
	}
	var p object
	if name := strings.TrimSpace(personName.FindString(s)); name != "" {
		p.set("name", quote(name))
	}
	if m := personEmail.FindStringSubmatch(s); m != nil {
		p.set("email", quote(m[1]))
	}
	if m := personURL.FindStringSubmatch(s); m != nil {
		p.set("url", quote(m[1]))
	}
	return p.raw()
}

// normalLinks makes objects of addresses written as texts.
func normalLinks(pkg *object) {
	if s, ok := text(pkg.get("repository")); ok {
		if !strings.Contains(s, "://") && hosted(s) != "" { // such as github:user/project
			s = "git+https://" + hosted(s) + ".git"
		}
		pkg.set("repository", object{{"type", quote("git")}, {"url", quote(s)}}.raw())
	}
	if s, ok := text(pkg.get("funding")); ok {
		pkg.set("funding", object{{"url", quote(s)}}.raw())
	}
	if s, ok := text(pkg.get("bugs")); ok {
		key := "url"
		if strings.Contains(s, "@") && !strings.Contains(s, "/") {
			key = "email"
		}
		pkg.set("bugs", object{{key, quote(s)}}.raw())
	}
}

// license is the SPDX expression, from the forms that package.json has had for it.
func license(pkg object) string {
	v := pkg.get("license")
	if v == nil {
		v = pkg.get("licence")
	}
	if list, ok := elements(pkg.get("licenses")); v == nil && ok && len(list) == 1 {
		v = list[0]
	}
	if s, ok := text(v); ok {
		return s
	}
	o, _ := fields(v)
	s, _ := text(o.get("type"))
	return s
}

func keywords(pkg object) []string {
	const most = 100
	list, _ := elements(pkg.get("keywords"))
	var words []string
	for _, e := range list {
		if s, ok := text(e); ok && s != "" && len(words) < most {
			words = append(words, s)
		}
	}
	return words
}
