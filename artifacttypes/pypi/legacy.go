package pypi

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strings"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// legacyInfo is "info" of the JSON API that came before the simple one. What
// this registry does not know is null or empty, never absent.
type legacyInfo struct {
	Author          string            `json:"author"`
	AuthorEmail     string            `json:"author_email"`
	BugtrackURL     *string           `json:"bugtrack_url"`
	Classifiers     []string          `json:"classifiers"`
	Description     string            `json:"description"`
	ContentType     string            `json:"description_content_type"`
	DocsURL         *string           `json:"docs_url"`
	DownloadURL     string            `json:"download_url"`
	Downloads       legacyDownloads   `json:"downloads"`
	Dynamic         []string          `json:"dynamic"`
	HomePage        string            `json:"home_page"`
	Keywords        string            `json:"keywords"`
	License         string            `json:"license"`
	Expression      *string           `json:"license_expression"`
	LicenseFiles    []string          `json:"license_files"`
	Maintainer      string            `json:"maintainer"`
	MaintainerEmail string            `json:"maintainer_email"`
	Name            string            `json:"name"`
	PackageURL      string            `json:"package_url"`
	Platform        string            `json:"platform"`
	ProjectURL      string            `json:"project_url"`
	ProjectURLs     map[string]string `json:"project_urls"`
	ProvidesExtra   []string          `json:"provides_extra"`
	ReleaseURL      string            `json:"release_url"`
	RequiresDist    []string          `json:"requires_dist"`
	RequiresPython  string            `json:"requires_python"`
	Summary         string            `json:"summary"`
	Version         string            `json:"version"`
	Yanked          bool              `json:"yanked"`
	YankedReason    *string           `json:"yanked_reason"`
}

type legacyDownloads struct {
	Day   int `json:"last_day"`
	Month int `json:"last_month"`
	Week  int `json:"last_week"`
}

// legacyFile is one of "urls".
type legacyFile struct {
	Comment        string  `json:"comment_text"`
	Digests        hashes  `json:"digests"`
	Downloads      int     `json:"downloads"`
	Filename       string  `json:"filename"`
	Signed         bool    `json:"has_sig"`
	PackageType    string  `json:"packagetype"`
	PythonVersion  string  `json:"python_version"`
	RequiresPython *string `json:"requires_python"`
	Size           int64   `json:"size"`
	Uploaded       string  `json:"upload_time"`
	UploadedISO    string  `json:"upload_time_iso_8601"`
	URL            string  `json:"url"`
	Yanked         bool    `json:"yanked"`
	YankedReason   *string `json:"yanked_reason"`
}

func legacyInfoOf(r *registry.Release, description string) legacyInfo {
	m, err := releaseMetadata(r.Facts)
	if err != nil {
		m = &metadata{} // Describe wrote it: cannot be
	}
	project := artifacttypes.Base + "/simple/" + r.Package + "/"
	info := legacyInfo{
		Author: m.Author, AuthorEmail: m.AuthorEmail, Classifiers: m.Classifiers, Description: description, ContentType: m.ContentType,
		DownloadURL: m.DownloadURL, Downloads: legacyDownloads{-1, -1, -1}, Dynamic: m.Dynamic, HomePage: m.HomePage, Keywords: m.Keywords,
		License: m.License, Expression: optional(m.Expression), LicenseFiles: m.LicenseFiles, Maintainer: m.Maintainer,
		MaintainerEmail: m.MaintainerEmail, Name: m.Name, PackageURL: project, Platform: strings.Join(m.Platforms, ","), ProjectURL: project,
		ProvidesExtra: m.ProvidesExtra, ReleaseURL: project, RequiresDist: m.RequiresDist, RequiresPython: m.RequiresPython, Summary: m.Summary,
		Version: r.Version, Yanked: isYanked(r), YankedReason: yankedReason(r),
	}
	if info.Classifiers == nil {
		info.Classifiers = []string{}
	}
	for _, entry := range m.ProjectURLs {
		if label, link, ok := strings.Cut(entry, ","); ok {
			if info.ProjectURLs == nil {
				info.ProjectURLs = map[string]string{}
			}
			info.ProjectURLs[strings.TrimSpace(label)] = strings.TrimSpace(link)
		}
	}
	return info
}

func legacyFiles(r *registry.Release, files []distribution) []legacyFile {
	list := make([]legacyFile, 0, len(files))
	for _, d := range files {
		f := legacyFile{
			Digests: hashes{d.sha256}, Downloads: -1, Filename: d.File.Name, Signed: d.signed, PackageType: "sdist", PythonVersion: "source",
			RequiresPython: optional(d.Metadata.RequiresPython), Size: d.Size, UploadedISO: timestamp(d.Added),
			URL: artifacttypes.Base + d.path, Yanked: isYanked(r), YankedReason: yankedReason(r),
		}
		if d.Kind == wheelKind {
			f.PackageType, f.PythonVersion = "bdist_wheel", d.Python
		}
		f.Uploaded, _, _ = strings.Cut(f.UploadedISO, ".")
		list = append(list, f)
	}
	return list
}

func yankedReason(r *registry.Release) *string {
	if !isYanked(r) {
		return nil
	}
	return optional(printable(r.State[yankedReasonKey]))
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// composeLegacy writes a project's legacy JSON: all releases, and what is said
// of the newest. Its long description is in that release's own document.
func composeLegacy(_ *registry.Package, from artifacttypes.Fragments, w io.Writer) error {
	if err := writeParts(w, `{"releases":{`); err != nil {
		return err
	}
	var versions []version
	for fragment, err := range from.All(urlsFragment) {
		if err != nil {
			return err
		}
		separator := ","
		if len(versions) == 0 {
			separator = ""
		}
		if err := writeParts(w, separator, quoted(fragment.Version), ":", string(fragment.Body)); err != nil {
			return err
		}
		v, _ := parseVersion(fragment.Version) // canonical: Describe found it
		versions = append(versions, v)
	}
	info, urls, err := newest(versions, from)
	if err != nil {
		return err
	}
	return writeParts(w, `},"info":`, info, `,"urls":`, urls, `,"last_serial":0,"vulnerabilities":[]}`)
}

// newest returns the fragments of the newest release, of those that are not
// yanked and not pre-releases if there is one.
func newest(versions []version, from artifacttypes.Fragments) (info, urls string, err error) {
	slices.SortFunc(versions, func(a, b version) int { return b.compare(a) })
	ordered := slices.DeleteFunc(slices.Clone(versions), version.unstable)
	ordered = append(ordered, slices.DeleteFunc(versions, func(v version) bool { return !v.unstable() })...)
	info, urls = "null", "[]"
	for i, v := range ordered {
		body, err := from.One(infoFragment, v.String())
		if err != nil {
			return "", "", err
		}
		if body == nil {
			continue
		}
		var state struct {
			Yanked bool `json:"yanked"`
		}
		if err := json.Unmarshal(bytes.ReplaceAll(body, []byte(artifacttypes.Base), nil), &state); err != nil {
			return "", "", err
		}
		if state.Yanked && i > 0 {
			continue
		}
		list, err := from.One(urlsFragment, v.String())
		if err != nil {
			return "", "", err
		}
		info, urls = string(body), string(list)
		if !state.Yanked {
			break
		}
	}
	return info, urls, nil
}
