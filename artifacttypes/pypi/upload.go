package pypi

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// upload takes one distribution, by the form that twine began with.
func upload(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	f, err := readForm(r, v)
	if f.content != nil {
		defer f.content.Discard()
	}
	if err != nil {
		return err
	}
	if err := f.check(); err != nil {
		return err
	}
	facts, text, err := inspect(r.Context(), f.file, f.content, f.content.Descriptor().Size)
	if err != nil {
		return err
	}
	if err := f.compare(facts); err != nil {
		return err
	}
	if err := takesFiles(r, v, facts.Name); err != nil {
		return err
	}
	if err := checkSpelling(r, v, facts); err != nil {
		return err
	}
	d := artifacttypes.Draft{
		Package: facts.Name, Version: facts.Version,
		Files: []artifacttypes.DraftFile{{Name: f.file, MediaType: mediaTypeOf(f.file, facts.Kind), Content: f.content}},
	}
	if d.Referrers, err = f.referrers(facts); err != nil {
		return err
	}
	if len(d.Referrers) > 0 {
		d.State = map[string]string{provenancePrefix + f.file: "true"}
	}
	beside := map[string][]byte{f.file + metadataSuffix: text, f.file + signatureSuffix: f.signature}
	if f.signature != nil && f.stored(r, v, &d) {
		delete(beside, f.file+signatureSuffix) // each run of a signer makes another one
	}
	for _, name := range []string{f.file + metadataSuffix, f.file + signatureSuffix} {
		if beside[name] == nil {
			continue
		}
		s, err := v.Stage(r.Context(), bytes.NewReader(beside[name]))
		if err != nil {
			return err
		}
		defer s.Discard()
		k, _ := kindOf(name)
		d.Files = append(d.Files, artifacttypes.DraftFile{Name: name, MediaType: mediaTypeOf(name, k), Content: s})
	}
	if _, err := v.Publish(r.Context(), d); err != nil {
		return f.refused(r, v, &d, err)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "OK\n") // fails when the client is gone: the file is stored
	return nil
}

// checkSpelling refuses a second spelling of a version that is there: pip takes
// 1.0 and 1.0.0 for one.
func checkSpelling(r *http.Request, v artifacttypes.View, facts *fileFacts) error {
	version, _ := parseVersion(facts.Version)
	for _, other := range version.spellings() {
		_, err := v.Release(r.Context(), facts.Name, other)
		switch {
		case err == nil:
			return artifacttypes.Invalid("version %s of %s is there, and %s is the same version to every installer: publish under that number, or another", other, facts.Name, facts.Version)
		case !errors.Is(err, registry.NameUnknown) && !errors.Is(err, registry.ManifestUnknown):
			return err
		}
	}
	return nil
}

func mediaTypeOf(name string, k kind) string {
	switch k {
	case wheelKind:
		return wheelType
	case metadataKind:
		return metadataType
	case signatureKind:
		return signatureType
	case sdistKind:
	}
	if strings.HasSuffix(name, ".zip") {
		return sdistZipType
	}
	return sdistType
}

// check looks at the fields of the form alone.
func (f *form) check() error {
	switch {
	case f.action == "":
		return artifacttypes.Invalid("the form has no field :action: want file_upload")
	case f.action != "file_upload":
		return registry.E("pypi.upload", gone, nil, "the action %q is not taken any more: upload the distribution and nothing else", clip(f.action))
	case f.protocol != "" && f.protocol != "1":
		return artifacttypes.Invalid("protocol_version is %q: want 1", clip(f.protocol))
	case f.content == nil:
		return artifacttypes.Invalid("the form has no file in its field content")
	}
	k, err := kindOf(f.file)
	if err != nil {
		return err
	}
	want := map[kind]string{wheelKind: "bdist_wheel", sdistKind: "sdist"}[k]
	if f.filetype != "" && f.filetype != want {
		return artifacttypes.Invalid("%s is of filetype %s, not %q", f.file, want, clip(f.filetype))
	}
	return f.checkDigests()
}

// compare refuses a form that says something else than the archive.
func (f *form) compare(facts *fileFacts) error {
	if f.name != "" {
		if name, ok := canonicalName(f.name); !ok || name != facts.Name {
			return artifacttypes.Invalid("%s is of the project %s, not %q as the form says", f.file, facts.Name, clip(f.name))
		}
	}
	if f.version != "" {
		if version, ok := canonicalVersion(f.version); !ok || version != facts.Version {
			return artifacttypes.Invalid("%s is version %s, not %q as the form says", f.file, facts.Version, clip(f.version))
		}
	}
	// A source distribution's dependencies may be known only once it is built.
	if facts.Kind == wheelKind && len(f.requires) > 0 && !slices.Equal(requirementSet(f.requires), requirementSet(facts.Metadata.RequiresDist)) {
		return artifacttypes.Invalid("the dependencies in the form are not those in %s: build and upload it again", f.file)
	}
	return nil
}

// requirementSet writes dependency specifiers so that equal ones look the same,
// whatever the spaces, quotes and parentheses, and their order.
func requirementSet(requirements []string) []string {
	list := make([]string, len(requirements))
	for i, r := range requirements {
		list[i] = strings.ToLower(strings.Map(func(c rune) rune {
			switch c {
			case ' ', '\t', '\n', '\r', '(', ')':
				return -1
			case '\'':
				return '"'
			case '_', '.':
				return '-'
			}
			return c
		}, r))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// stored tells whether the release has the draft's distribution and a
// signature of it.
func (f *form) stored(r *http.Request, v artifacttypes.View, d *artifacttypes.Draft) bool {
	rel, err := v.Release(r.Context(), d.Package, d.Version)
	if err != nil {
		return false // Publish says so, too, if it matters
	}
	present, ok := rel.File(f.file)
	_, signed := rel.File(f.file + signatureSuffix)
	return ok && signed && present.Digest == f.content.Descriptor().Digest
}

// refused says why in the words that clients know: twine skips a file by them.
func (f *form) refused(r *http.Request, v artifacttypes.View, d *artifacttypes.Draft, err error) error {
	const op = "pypi.upload"
	if !errors.Is(err, registry.VersionExists) {
		return err
	}
	versions, listErr := v.Versions(r.Context(), d.Package)
	if listErr != nil && !errors.Is(listErr, registry.NameUnknown) {
		return listErr
	}
	for _, version := range versions {
		if version.Version == d.Version && !version.Withdrawn.IsZero() {
			return registry.E(op, registry.ManifestInvalid, err,
				"This filename was previously used by a file that has since been deleted: %s %s is withdrawn, use a different version", d.Package, d.Version)
		}
	}
	return registry.E(op, registry.VersionExists, err,
		"File already exists: %s is there with other content, and files never change; use a different version", f.file)
}
