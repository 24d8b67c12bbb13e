package pypi

import (
	"bytes"
	"encoding/json"
	"html"
	"net/url"
	"strings"
	"time"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// apiVersion is that of the simple repository API, PEP 629: 1.4 has PEP 792.
const apiVersion = "1.4"

// Keys of a release's state.
const (
	yankedKey        = "yanked"        // "true", or absent
	yankedReasonKey  = "yanked-reason" // what its owner says
	provenancePrefix = "provenance:"   // and a file's name: "true" if it has attestations
)

// distribution is a wheel or source distribution as documents show it.
type distribution struct {
	registry.File
	*fileFacts
	sha256     string
	path       string // below the feed's URL, escaped
	signed     bool
	provenance string // path below the feed's URL, escaped, or ""
}

// distributions lists those of r, in its order.
func distributions(r *registry.Release) ([]distribution, error) {
	var list []distribution
	for _, f := range r.Files {
		facts, err := factsOf(f)
		if err != nil {
			return nil, err
		}
		if facts.Kind != wheelKind && facts.Kind != sdistKind {
			continue
		}
		below := "/" + url.PathEscape(r.Package) + "/" + url.PathEscape(r.Version) + "/" + url.PathEscape(f.Name)
		d := distribution{File: f, fileFacts: facts, sha256: sha256Of(f), path: "/files" + below}
		_, d.signed = r.File(f.Name + signatureSuffix)
		if r.State[provenancePrefix+f.Name] != "" {
			d.provenance = "/integrity" + below + "/provenance"
		}
		list = append(list, d)
	}
	return list, nil
}

// coreMetadata is the SHA-256 of the METADATA that is served beside d, "" for
// none.
func (d *distribution) coreMetadata(r *registry.Release) string {
	if _, ok := r.File(d.File.Name + metadataSuffix); !ok && d.Text == nil {
		return ""
	}
	return d.MetadataSHA256
}

// fromPage is a path below the feed's URL as seen from a simple page.
const fromPage = "../.."

// Fragment renders a release's part of a document; see [artifacttypes.Format].
func (Format) Fragment(kind string, r *registry.Release, w *bytes.Buffer) error {
	files, err := distributions(r)
	if err != nil {
		return err
	}
	switch kind {
	case jsonFragment:
		return writeJSONFiles(w, r, files)
	case htmlFragment:
		writeLinks(w, r, files)
		return nil
	case infoFragment:
		return writeJSON(w, legacyInfoOf(r, ""))
	case urlsFragment:
		return writeJSON(w, legacyFiles(r, files))
	}
	return artifacttypes.Invalid("there is no fragment %q", kind)
}

// simpleFile is one of a page's files: PEP 691 "Project Detail", PEP 700, 714,
// 740. The first name of core-metadata, dist-info-metadata, is left out: pip
// 22.3 to 23.1 break on its value.
type simpleFile struct {
	Filename       string  `json:"filename"`
	URL            string  `json:"url"`
	Hashes         hashes  `json:"hashes"`
	RequiresPython string  `json:"requires-python,omitempty"`
	Size           int64   `json:"size"`
	UploadTime     string  `json:"upload-time,omitempty"`
	Yanked         any     `json:"yanked"`        // false, true or why
	CoreMetadata   any     `json:"core-metadata"` // false or hashes
	Signed         bool    `json:"gpg-sig"`
	Provenance     *string `json:"provenance"`
}

type hashes struct {
	SHA256 string `json:"sha256"`
}

func writeJSONFiles(w *bytes.Buffer, r *registry.Release, files []distribution) error {
	for i, d := range files {
		f := simpleFile{
			Filename: d.File.Name, URL: fromPage + d.path, Hashes: hashes{d.sha256}, RequiresPython: d.Metadata.RequiresPython,
			Size: d.Size, UploadTime: timestamp(d.Added), Yanked: yanked(r), CoreMetadata: false, Signed: d.signed,
		}
		if sum := d.coreMetadata(r); sum != "" {
			f.CoreMetadata = hashes{sum}
		}
		if d.provenance != "" {
			absolute := artifacttypes.Base + d.provenance
			f.Provenance = &absolute
		}
		if i > 0 {
			w.WriteByte(',')
		}
		if err := writeJSON(w, f); err != nil {
			return err
		}
	}
	return nil
}

// writeJSON appends v. What stands for the feed's URL is put in behind the
// encoder, which would escape it.
func writeJSON(w *bytes.Buffer, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Write(bytes.ReplaceAll(body, []byte(`"\u0000/`), []byte(`"`+artifacttypes.Base+`/`)))
	return nil
}

// yanked is PEP 592's value: false, true or the reason.
func yanked(r *registry.Release) any {
	if reason := printable(r.State[yankedReasonKey]); isYanked(r) && reason != "" {
		return reason
	}
	return isYanked(r)
}

func isYanked(r *registry.Release) bool { return r.State[yankedKey] != "" }

// timestamp is PEP 700's form of a time: UTC, microseconds. "" for none.
func timestamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000000Z")
}

// writeLinks is the page's form in HTML: PEP 503, 592, 658, 714, 740.
func writeLinks(w *bytes.Buffer, r *registry.Release, files []distribution) {
	for _, d := range files {
		w.WriteString(`<a href="` + fromPage + attribute(d.path) + `#sha256=` + d.sha256 + `"`)
		if d.Metadata.RequiresPython != "" {
			w.WriteString(` data-requires-python="` + attribute(d.Metadata.RequiresPython) + `"`)
		}
		if sum := d.coreMetadata(r); sum != "" {
			w.WriteString(` data-core-metadata="sha256=` + sum + `" data-dist-info-metadata="sha256=` + sum + `"`)
		}
		if isYanked(r) {
			w.WriteString(` data-yanked="` + attribute(r.State[yankedReasonKey]) + `"`)
		}
		if d.signed {
			w.WriteString(` data-gpg-sig="true"`)
		}
		if d.provenance != "" {
			w.WriteString(` data-provenance="` + artifacttypes.Base + attribute(d.provenance) + `"`)
		}
		w.WriteString(`>` + html.EscapeString(d.File.Name) + "</a><br>\n")
	}
}

// attribute escapes text for a quoted attribute, without what stands for the
// feed's URL.
func attribute(s string) string {
	return html.EscapeString(strings.ReplaceAll(s, artifacttypes.Base, ""))
}
