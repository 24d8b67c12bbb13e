package maven

import (
	"bytes"
	"encoding/xml"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/packhouse/packhouse/artifacttypes"
)

// The three kinds of maven-metadata.xml,
// https://maven.apache.org/ref/current/maven-repository-metadata/repository-metadata.html.
type metadataXML struct {
	XMLName      xml.Name       `xml:"metadata"`
	ModelVersion string         `xml:"modelVersion,attr,omitempty"`
	GroupID      string         `xml:"groupId,omitempty"`
	ArtifactID   string         `xml:"artifactId,omitempty"`
	Version      string         `xml:"version,omitempty"`
	Versioning   *versioningXML `xml:"versioning"`
	Plugins      *pluginsXML    `xml:"plugins"`
}

type versioningXML struct {
	Latest           string               `xml:"latest,omitempty"`
	Release          string               `xml:"release,omitempty"`
	Snapshot         *snapshotXML         `xml:"snapshot"`
	Versions         *versionsXML         `xml:"versions"`
	LastUpdated      string               `xml:"lastUpdated,omitempty"`
	SnapshotVersions *snapshotVersionsXML `xml:"snapshotVersions"`
}

type versionsXML struct {
	Version []string `xml:"version"`
}

type snapshotXML struct {
	Timestamp   string `xml:"timestamp"`
	BuildNumber int    `xml:"buildNumber"`
}

type snapshotVersionsXML struct {
	SnapshotVersion []snapshotVersionXML `xml:"snapshotVersion"`
}

type snapshotVersionXML struct {
	Classifier string `xml:"classifier,omitempty"`
	Extension  string `xml:"extension"`
	Value      string `xml:"value"`
	Updated    string `xml:"updated"`
}

type pluginsXML struct {
	Plugin []pluginXMLEntry `xml:"plugin"`
}

type pluginXMLEntry struct {
	Name       string `xml:"name,omitempty"`
	Prefix     string `xml:"prefix"`
	ArtifactID string `xml:"artifactId"`
}

func (m *metadataXML) write(w io.Writer) error {
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(m); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// composeArtifact writes the metadata of an artifact: its versions in Maven's
// order, each snapshot once. The highest is the latest.
func composeArtifact(group, artifact string, from artifacttypes.Fragments, w io.Writer) error {
	var versions []string
	var updated time.Time
	seen := map[string]bool{}
	for f, err := range from.All(fragmentVersion) {
		if err != nil {
			return err
		}
		if base := baseVersion(f.Version); !seen[base] {
			seen[base] = true
			versions = append(versions, base)
		}
		if f.Published.After(updated) {
			updated = f.Published
		}
	}
	if len(versions) == 0 {
		return nil
	}
	sortVersions(versions)
	v := &versioningXML{
		Latest:      versions[len(versions)-1],
		Versions:    &versionsXML{versions},
		LastUpdated: updated.UTC().Format("20060102150405"),
	}
	for _, version := range slices.Backward(versions) {
		if !isSnapshot(version) {
			v.Release = version
			break
		}
	}
	return (&metadataXML{GroupID: group, ArtifactID: artifact, Versioning: v}).write(w)
}

// metadata renders the metadata of a snapshot. Its times are those of the
// builds, so a copy of a repository says the same.
func (s *snapshotBuilds) metadata(group, artifact, base string) ([]byte, error) {
	newest, _ := parseBuild(s.Builds[0])
	v := &versioningXML{
		Snapshot:         &snapshotXML{newest.Stamp, newest.Number},
		LastUpdated:      newest.updated(),
		SnapshotVersions: &snapshotVersionsXML{},
	}
	suffixes := make([]string, 0, len(s.Files))
	for suffix := range s.Files {
		suffixes = append(suffixes, suffix)
	}
	slices.Sort(suffixes)
	for _, suffix := range suffixes {
		b, _ := parseBuild(s.Files[suffix])
		classifier, extension := splitSuffix(suffix)
		v.SnapshotVersions.SnapshotVersion = append(v.SnapshotVersions.SnapshotVersion,
			snapshotVersionXML{classifier, extension, b.version(), b.updated()})
	}
	var w bytes.Buffer
	err := (&metadataXML{ModelVersion: "1.1.0", GroupID: group, ArtifactID: artifact, Version: base, Versioning: v}).write(&w)
	return w.Bytes(), err
}

// groupMetadata renders the plug-ins of a group. artifact is the metadata of
// the artifact that has the same path, if there is one: both are one file.
func groupMetadata(plugins []pluginEntry, artifact []byte) ([]byte, error) {
	p := &pluginsXML{}
	for _, e := range plugins {
		name := e.Name
		if name == "" {
			name = e.Artifact
		}
		p.Plugin = append(p.Plugin, pluginXMLEntry{name, e.Prefix, e.Artifact})
	}
	var w bytes.Buffer
	if err := (&metadataXML{Plugins: p}).write(&w); err != nil {
		return nil, err
	}
	if len(artifact) == 0 {
		return w.Bytes(), nil
	}
	const root = "<metadata>\n"
	_, inner, _ := strings.Cut(w.String(), root)
	head := bytes.TrimSuffix(artifact, []byte("</metadata>\n"))
	return append(slices.Clone(head), inner...), nil
}
