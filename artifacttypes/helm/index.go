package helm

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/Masterminds/semver/v3"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// entry is one version in an index: Helm refuses an index with a field that it
// does not know.
type entry struct {
	*metadata
	URLs    []string `json:"urls"`
	Created string   `json:"created"` // RFC 3339
	Digest  string   `json:"digest"`  // SHA-256 of the archive, hexadecimal
}

// Fragment implements [artifacttypes.Format].
func (Format) Fragment(_ string, r *registry.Release, w *bytes.Buffer) error {
	var native facts
	var m metadata
	if err := json.Unmarshal(r.Native, &native); err != nil {
		return err
	}
	if err := json.Unmarshal(native.Chart, &m); err != nil {
		return err
	}
	chart, _ := archiveOf(r)
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false) // what makes keys longer than YAML takes
	err := encoder.Encode(entry{
		metadata: &m, URLs: []string{chartURL(r.Package, r.Version)},
		Created: r.Published.UTC().Format(time.RFC3339Nano), Digest: chart.Facts.Sums["sha256"],
	})
	writeForYAML(w, bytes.TrimSpace(b.Bytes()))
	return err
}

// writeForYAML writes JSON with escapes for the characters that JSON takes as
// they are and YAML 1.1, section 5, does not: not every reader of an index
// tries JSON first.
func writeForYAML(w *bytes.Buffer, text []byte) {
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if r >= 0x7f && r < 0xa0 || r == 0xfeff || r == 0xfffe || r == 0xffff {
			fmt.Fprintf(w, `\u%04x`, r)
		} else {
			w.Write(text[:n])
		}
		text = text[n:]
	}
}

// Compose implements [artifacttypes.Format].
func (Format) Compose(document string, p *registry.Package, from artifacttypes.Fragments, w io.Writer) error {
	versions, err := newestFirst(from)
	if err != nil {
		return err
	}
	if document != versionsDocument {
		name, err := json.Marshal(p.Name)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "%s:", name); err != nil {
			return err
		}
	}
	before := "["
	for _, v := range versions {
		if _, err := io.WriteString(w, before); err != nil {
			return err
		}
		if _, err := w.Write(v.Body); err != nil {
			return err
		}
		before = ",\n"
	}
	if len(versions) == 0 {
		before = "[]"
	} else {
		before = "]"
	}
	_, err = io.WriteString(w, before)
	return err
}

// newestFirst orders versions by precedence, the highest first; those of equal
// precedence by publication, the last first.
func newestFirst(from artifacttypes.Fragments) ([]artifacttypes.Fragment, error) {
	type versioned struct {
		artifacttypes.Fragment
		version *semver.Version
	}
	var list []versioned
	for f, err := range from.All(entryFragment) {
		if err != nil {
			return nil, err
		}
		v, err := semver.NewVersion(f.Version)
		if err != nil {
			return nil, fmt.Errorf("version %q of a stored chart: %w", f.Version, err)
		}
		list = append(list, versioned{f, v})
	}
	slices.SortFunc(list, func(a, b versioned) int {
		return cmp.Or(b.version.Compare(a.version), b.Published.Compare(a.Published), cmp.Compare(b.Version, a.Version))
	})
	sorted := make([]artifacttypes.Fragment, len(list))
	for i, v := range list {
		sorted[i] = v.Fragment
	}
	return sorted, nil
}

// chartURL is where an archive is, relative to the feed's URL. Of the charts
// whose archives have the same file name, all but one are in a folder.
func chartURL(name, version string) string {
	file := fileName(name, version)
	escaped := url.PathEscape(file)
	if first := splits(file)[0]; first.name != name {
		return "charts/" + url.PathEscape(name) + "/" + escaped
	}
	return "charts/" + escaped
}
