package npm

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

const (
	searchSize    = 20
	maxSearchSize = 250
	maxSearchFrom = 1 << 20
)

// found is one package in the answer to a search.
type found struct {
	Package struct {
		Name        string            `json:"name"`
		Scope       string            `json:"scope"`
		Version     string            `json:"version"`
		Description string            `json:"description,omitempty"`
		Keywords    []string          `json:"keywords"`
		Date        string            `json:"date"`
		License     string            `json:"license,omitempty"`
		Links       map[string]string `json:"links"`
		Author      json.RawMessage   `json:"author,omitempty"`
		Publisher   account           `json:"publisher"`
		Maintainers []account         `json:"maintainers"`
	} `json:"package"`
	Score struct {
		Final  float64            `json:"final"`
		Detail map[string]float64 `json:"detail"`
	} `json:"score"`
	SearchScore float64 `json:"searchScore"`
}

type account struct {
	Name  string `json:"username"`
	Email string `json:"email"`
}

func search(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	q := r.URL.Query()
	size := number(q.Get("size"), searchSize, maxSearchSize)
	from := number(q.Get("from"), 0, maxSearchFrom)
	releases, total, err := v.Search(r.Context(), words(q.Get("text")), from, size)
	if err != nil {
		return err
	}
	list := make([]found, len(releases))
	for i, rel := range releases {
		list[i] = describe(rel)
	}
	return artifacttypes.WriteJSON(w, r, http.StatusOK, map[string]any{
		"objects": list, "total": total, "time": v.Now().UTC().Format(time.RFC1123),
	})
}

func describe(rel *registry.Release) found {
	var f found
	p := &f.Package
	p.Name, p.Version, p.Description, p.License = rel.Package, rel.Version, rel.Description, rel.License
	p.Scope, p.Keywords, p.Links = "unscoped", rel.Keywords, map[string]string{}
	if scope, _, ok := strings.Cut(rel.Package, "/"); ok {
		p.Scope = scope[1:]
	}
	if p.Keywords == nil {
		p.Keywords = []string{}
	}
	p.Date = stamp(rel.Published)
	p.Publisher = account{Name: artifacttypes.Anonymous}
	p.Maintainers = []account{p.Publisher}
	f.Score.Final, f.SearchScore = 1, 1
	f.Score.Detail = map[string]float64{"quality": 1, "popularity": 1, "maintenance": 1}
	if len(rel.Files) == 1 {
		if _, pkg, err := read(rel.Files[0]); err == nil {
			p.Author = pkg.get("author")
			for _, key := range []string{"homepage", "repository", "bugs"} {
				if s := plain(pkg.get(key)); s != "" {
					p.Links[key] = s
				}
			}
		}
	}
	return f
}

// words takes what npm's search calls qualifiers for the words they hold;
// those that sort or filter by what is not known here say nothing.
func words(text string) string {
	var list []string
	for word := range strings.FieldsSeq(text) {
		switch qualifier, value, ok := strings.Cut(word, ":"); {
		case !ok:
			list = append(list, word)
		case qualifier == "keywords":
			list = append(list, strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == '+' })...)
		case qualifier == "scope":
			list = append(list, "@"+strings.TrimPrefix(value, "@")+"/")
		}
	}
	return strings.Join(list, " ")
}

// number reads a parameter that is a number from 0 to most.
func number(s string, otherwise, most int) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return otherwise
	}
	return min(n, most)
}
