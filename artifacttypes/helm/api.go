package helm

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/Masterminds/semver/v3"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// latest is ChartMuseum's word for the newest version that is no pre-release.
const latest = "latest"

// listCharts answers with all charts, or with a page of them by name: offset
// and limit.
func listCharts(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	q := r.URL.Query()
	if !q.Has("offset") && !q.Has("limit") {
		return v.Document(w, r, "", chartsDocument)
	}
	offset, err := count(q.Get("offset"), 0)
	if err != nil {
		return err
	}
	const most = 1000
	limit, err := count(q.Get("limit"), most)
	if err != nil {
		return err
	}
	limit = min(limit, most)
	ctx := r.Context()
	var b bytes.Buffer
	b.WriteByte('{')
	for name, err := range v.Packages(ctx, "") {
		if err != nil {
			return err
		}
		if offset > 0 {
			offset--
			continue
		}
		if limit == 0 {
			break
		}
		limit--
		versions, err := v.Bytes(ctx, name, versionsDocument)
		if errors.Is(err, registry.NameUnknown) {
			continue // withdrawn meanwhile
		}
		if err != nil {
			return err
		}
		key, err := json.Marshal(name)
		if err != nil {
			return err
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		b.Write(append(key, ':'))
		b.Write(versions)
	}
	b.WriteString("}\n")
	artifacttypes.WriteBody(w, r, http.StatusOK, jsonType, b.Bytes())
	return nil
}

// count reads a number from a query, "" being otherwise.
func count(s string, otherwise int) (int, error) {
	if s == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, artifacttypes.Invalid("%.40q is no offset or limit: use a number from 0 up", s)
	}
	return n, nil
}

func listVersions(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	return v.Document(w, r, r.PathValue("name"), versionsDocument)
}

// find returns the version that the URL names.
func find(r *http.Request, v artifacttypes.View) (*registry.Release, error) {
	name, version := r.PathValue("name"), r.PathValue("version")
	if version != latest {
		return v.Release(r.Context(), name, version)
	}
	list, err := v.Versions(r.Context(), name)
	if err != nil {
		return nil, err
	}
	var newest *semver.Version
	for _, one := range list {
		s, err := semver.NewVersion(one.Version)
		if err == nil && one.Withdrawn.IsZero() && s.Prerelease() == "" && (newest == nil || s.GreaterThan(newest)) {
			newest = s
		}
	}
	if newest == nil {
		return nil, registry.E("helm.find", registry.ManifestUnknown, nil, "every version of %s is a pre-release", name)
	}
	return v.Release(r.Context(), name, newest.Original())
}

func serveVersion(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	rel, err := find(r, v)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := (Format{}).Fragment(entryFragment, rel, &b); err != nil {
		return err
	}
	artifacttypes.WriteBody(w, r, http.StatusOK, jsonType, b.Bytes())
	return nil
}

// serveValues answers with the values.yaml in a chart's archive.
func serveValues(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	rel, err := find(r, v)
	if err != nil {
		return err
	}
	chart, _ := archiveOf(rel)
	content, err := v.Open(r.Context(), rel, chart)
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }()          // it was only read from
	const valuesFile, most = "values.yaml", 5 << 20 // bytes; Helm reads no larger file
	files, err := readArchive(r.Context(), content, chart.Size, most, valuesFile)
	if err != nil {
		return err
	}
	values, ok := files[valuesFile]
	if !ok {
		return registry.E("helm.serveValues", registry.BlobUnknown, nil, "%s %s has no values.yaml", rel.Package, rel.Version)
	}
	artifacttypes.WriteBody(w, r, http.StatusOK, "application/yaml", values)
	return nil
}

func withdrawVersion(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	op := registry.WithdrawVersion{Version: r.PathValue("version"), Reason: "deleted by ChartMuseum's API"}
	if err := v.Change(r.Context(), r.PathValue("name"), op); err != nil {
		return err
	}
	return artifacttypes.WriteJSON(w, r, http.StatusOK, map[string]bool{"deleted": true})
}
