package pypi

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/packhouse/packhouse/artifacttypes"
)

// metadata is what is kept of METADATA or PKG-INFO: the core metadata
// specification's fields, but the description.
type metadata struct {
	MetadataVersion string   `json:"metadata_version"`
	Name            string   `json:"name"`
	Version         string   `json:"version"`
	Summary         string   `json:"summary,omitempty"`
	ContentType     string   `json:"description_content_type,omitempty"`
	Keywords        string   `json:"keywords,omitempty"`
	HomePage        string   `json:"home_page,omitempty"`
	DownloadURL     string   `json:"download_url,omitempty"`
	Author          string   `json:"author,omitempty"`
	AuthorEmail     string   `json:"author_email,omitempty"`
	Maintainer      string   `json:"maintainer,omitempty"`
	MaintainerEmail string   `json:"maintainer_email,omitempty"`
	License         string   `json:"license,omitempty"`
	Expression      string   `json:"license_expression,omitempty"`
	RequiresPython  string   `json:"requires_python,omitempty"`
	LicenseFiles    []string `json:"license_files,omitempty"`
	Platforms       []string `json:"platform,omitempty"`
	Classifiers     []string `json:"classifiers,omitempty"`
	RequiresDist    []string `json:"requires_dist,omitempty"`
	ProvidesExtra   []string `json:"provides_extra,omitempty"`
	ProjectURLs     []string `json:"project_urls,omitempty"` // "Label, URL"
	Dynamic         []string `json:"dynamic,omitempty"`
}

// single returns where the field of that name, in lower case, belongs; nil for
// one that is not kept or may come more than once.
func (m *metadata) single(field string) *string {
	switch field {
	case "metadata-version":
		return &m.MetadataVersion
	case "name":
		return &m.Name
	case "version":
		return &m.Version
	case "summary":
		return &m.Summary
	case "description-content-type":
		return &m.ContentType
	case "keywords":
		return &m.Keywords
	case "home-page":
		return &m.HomePage
	case "download-url":
		return &m.DownloadURL
	case "author":
		return &m.Author
	case "author-email":
		return &m.AuthorEmail
	case "maintainer":
		return &m.Maintainer
	case "maintainer-email":
		return &m.MaintainerEmail
	case "license":
		return &m.License
	case "license-expression":
		return &m.Expression
	case "requires-python":
		return &m.RequiresPython
	}
	return nil
}

// several is single for fields that may come more than once.
func (m *metadata) several(field string) *[]string {
	switch field {
	case "license-file":
		return &m.LicenseFiles
	case "platform":
		return &m.Platforms
	case "classifier":
		return &m.Classifiers
	case "requires-dist":
		return &m.RequiresDist
	case "provides-extra":
		return &m.ProvidesExtra
	case "project-url":
		return &m.ProjectURLs
	case "dynamic":
		return &m.Dynamic
	}
	return nil
}

// parseMetadata reads METADATA or PKG-INFO; file names it in errors.
func parseMetadata(file string, text []byte) (m metadata, err error) {
	bad := func(format string, a ...any) error {
		return artifacttypes.Invalid(file+" "+format, a...)
	}
	if !utf8.Valid(text) {
		return metadata{}, bad("is not UTF-8")
	}
	if bytes.IndexByte(text, 0) >= 0 {
		return metadata{}, bad("contains a NUL byte")
	}
	size, seen := 0, map[string]bool{}
	_, err = readFields(text, func(field, value string) error {
		if field == "description" {
			return nil
		}
		if size += len(field) + len(value); size > maxHeaders {
			return bad("has more than %d KiB of fields", maxHeaders>>10)
		}
		if many := m.several(field); many != nil {
			*many = append(*many, oneLine(value))
			return nil
		}
		one := m.single(field)
		switch {
		case one == nil:
		case seen[field] && decisive[field]:
			return bad("has the field %s twice", field)
		case seen[field]: // the first counts
		case field == "license":
			*one = printable(value)
		default:
			*one = oneLine(value)
		}
		seen[field] = one != nil
		return nil
	})
	if err != nil {
		return metadata{}, err
	}
	_, named := canonicalName(m.Name)
	_, versioned := canonicalVersion(m.Version)
	switch major, _, _ := strings.Cut(m.MetadataVersion, "."); {
	case major != "1" && major != "2":
		return metadata{}, bad("has Metadata-Version %q: 1.x and 2.x are understood", clip(m.MetadataVersion))
	case !named:
		return metadata{}, bad("has Name %q: a name is letters, digits and - _ . between them", clip(m.Name))
	case !versioned:
		return metadata{}, bad("has Version %q, which is not a version of PEP 440", clip(m.Version))
	}
	return m, nil
}

// decisive are the fields of which readers would take one or the other.
var decisive = map[string]bool{"metadata-version": true, "name": true, "version": true, "requires-python": true}

// readFields calls each for every field of a text in the manner of RFC 5322,
// names in lower case, and returns what follows them. Lines end, and the
// fields with the first that is none, where Python's email.parser says so,
// since that is what installers read with.
func readFields(text []byte, each func(field, value string) error) (body []byte, err error) {
	var field string
	var value []byte
	flush := func() error {
		if field == "" {
			return nil
		}
		return each(field, string(bytes.TrimSpace(value)))
	}
	for len(text) > 0 {
		line, rest := cutLine(text)
		if len(line) > 0 && (line[0] == ' ' || line[0] == '\t') {
			if len(value) < maxHeaders { // beyond which nobody asks
				value = append(append(value, '\n'), bytes.TrimSpace(line)...)
			}
			text = rest
			continue
		}
		if err := flush(); err != nil {
			return nil, err
		}
		name, content, found := bytes.Cut(line, []byte(":"))
		if !found || !fieldName(name) {
			field = ""
			if len(line) == 0 {
				text = rest
			}
			break
		}
		field, value = strings.ToLower(string(name)), append(value[:0], content...)
		text = rest
	}
	if len(text) == 0 {
		return nil, flush()
	}
	return text, nil
}

func cutLine(b []byte) (line, rest []byte) {
	i := bytes.IndexAny(b, "\r\n")
	switch {
	case i < 0:
		return b, nil
	case b[i] == '\r' && i+1 < len(b) && b[i+1] == '\n':
		return b[:i], b[i+2:]
	}
	return b[:i], b[i+1:]
}

func fieldName(name []byte) bool {
	for _, c := range name {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return len(name) > 0
}

// readme is the long text about the project: of its field, or what
// follows the fields.
func readme(text []byte) string {
	var field string
	body, _ := readFields(text, func(name, value string) error { // no error of ours
		if name == "description" && field == "" {
			field = value
		}
		return nil
	})
	if field != "" {
		return field
	}
	return string(body)
}

// oneLine unfolds a field.
func oneLine(value string) string {
	return printable(strings.ReplaceAll(value, "\n", " "))
}

// printable drops control characters, of which license texts are not free.
func printable(value string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, value)
}

// spdx is the license as an expression where that is known.
func (m *metadata) spdx() string {
	const longest = 100 // of a license that is a name, not a text
	if m.Expression != "" {
		return m.Expression
	}
	if len(m.License) > longest || strings.Contains(m.License, "\n") {
		return ""
	}
	return m.License
}

// words are the keywords, which are separated by commas or by spaces.
func (m *metadata) words() []string {
	separator := " "
	if strings.Contains(m.Keywords, ",") {
		separator = ","
	}
	var words []string
	for word := range strings.SplitSeq(m.Keywords, separator) {
		if word = strings.TrimSpace(word); word != "" {
			words = append(words, word)
		}
	}
	return words
}
