package maven

import (
	"encoding/json"
	"regexp"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// native is the format's own part of a release's facts.
type native struct {
	Packaging string  `json:"packaging,omitempty"`
	URL       string  `json:"url,omitempty"`
	Plugin    *plugin `json:"plugin,omitempty"`
	// Embedded tells that the POM is the one inside the only jar.
	Embedded bool `json:"embedded,omitempty"`
}

// Describe implements [artifacttypes.Format]. Coordinates come from the POM,
// else from what a jar without one was built from, else from the annotations;
// where there are several they must agree.
func (Format) Describe(a registry.Artifact) (registry.Facts, error) {
	d, err := newDescription(a)
	if err != nil {
		return registry.Facts{}, err
	}
	c, err := d.coordinates()
	if err != nil {
		return registry.Facts{}, err
	}
	if err := d.agree(c); err != nil {
		return registry.Facts{}, err
	}
	names, err := fileNames(a.Files, c, d.pom)
	if err != nil {
		return registry.Facts{}, err
	}
	f := registry.Facts{Package: c.pkg(), Version: c.Version}
	var n native
	if p := d.mainPOM(); p != nil {
		f.Description, f.License = p.Description, p.License
		if f.Description == "" {
			f.Description = p.Name
		}
		n.Packaging, n.URL = p.Packaging, p.URL
	} else {
		n.Embedded = d.annotated == "" && d.single >= 0 && len(d.facts[d.single].Jar.POM) > 0
		f.Incomplete = !n.Embedded
	}
	for i, name := range names {
		if name == c.stem()+".jar" && d.facts[i].Jar != nil {
			n.Plugin = d.facts[i].Jar.Plugin
		}
		if m := d.facts[i].Module; m != nil && name == c.stem()+".module" {
			if err := m.agree(name, c); err != nil {
				return registry.Facts{}, err
			}
		}
	}
	if n.Packaging == "maven-plugin" && n.Plugin == nil {
		n.Plugin = &plugin{}
	}
	if n.Plugin != nil && n.Plugin.Prefix == "" {
		n.Plugin = &plugin{Prefix: defaultPrefix(c.Artifact), Name: n.Plugin.Name}
	}
	f.Native, err = json.Marshal(n)
	return f, err
}

// description is what the files of a manifest say.
type description struct {
	registry.Artifact
	facts     []fileFacts
	annotated string // the package by annotation
	pom       int    // which file is the release's POM, -1 for none
	single    int    // the only jar that tells what it was built from, -1 for none
}

func newDescription(a registry.Artifact) (*description, error) {
	d := &description{Artifact: a, annotated: a.Annotations[registry.AnnotationName], single: -1}
	if len(a.Files) == 0 {
		return nil, artifacttypes.Invalid("a Maven release has at least one file, such as a POM or a jar")
	}
	for i, f := range a.Files {
		facts, err := factsOf(f)
		if err != nil {
			return nil, invalidFacts(f, err)
		}
		d.facts = append(d.facts, facts)
		if facts.Jar != nil && facts.Jar.Artifact != "" {
			if d.single >= 0 {
				d.single = len(a.Files)
				continue
			}
			d.single = i
		}
	}
	if d.single == len(a.Files) {
		d.single = -1
	}
	d.pom = d.choosePOM()
	if d.pom == len(a.Files) {
		return nil, artifacttypes.Invalid("the manifest holds several POMs: title the release's own ARTIFACT-VERSION.pom")
	}
	return d, nil
}

// choosePOM finds the release's POM: the only one without a classifier.
func (d *description) choosePOM() int {
	found := -1
	for i, f := range d.Files {
		p := d.facts[i].POM
		if p == nil {
			continue
		}
		if title := fileName(f.Name); title != "" && title != "pom.xml" {
			suffix, ok := d.titled(title, p)
			if ok && suffix != ".pom" {
				continue // a build POM
			}
		}
		if found >= 0 {
			return len(d.Files)
		}
		found = i
	}
	return found
}

// titled returns what follows the coordinates in the title of POM p.
func (d *description) titled(title string, p *pom) (suffix string, ok bool) {
	c := coords{Version: d.Annotations[ocispec.AnnotationVersion], Artifact: p.Artifact}
	if _, artifact, err := splitPackage(d.annotated); err == nil {
		c.Artifact = artifact
	}
	if c.Version == "" {
		c.Version = p.Version
	}
	return c.cut(title)
}

func (d *description) mainPOM() *pom {
	if d.pom < 0 {
		return nil
	}
	return d.facts[d.pom].POM
}

// coordinates finds out what the release is called.
func (d *description) coordinates() (coords, error) {
	c := coords{Version: d.Annotations[ocispec.AnnotationVersion]}
	var said coords // by the content
	from := -1
	if p := d.mainPOM(); p != nil {
		said, from = p.coords, d.pom
	} else if d.single >= 0 {
		said, from = d.facts[d.single].Jar.coords, d.single
	}
	switch {
	case d.annotated != "":
		var err error
		if c.Group, c.Artifact, err = splitPackage(d.annotated); err != nil {
			return coords{}, artifacttypes.Invalid("%s", registry.Public(err).Message)
		}
	case from < 0 && d.hinted(&c):
	case from < 0:
		return coords{}, artifacttypes.Invalid("nothing tells which package this is: add its POM, or the annotations %s (GROUP:ARTIFACT) and %s", registry.AnnotationName, ocispec.AnnotationVersion)
	case hasExpression(coords{Group: said.Group, Artifact: said.Artifact}):
		return coords{}, artifacttypes.Invalid("the POM's coordinates %s hold expressions: push a flattened POM, or add the annotations %s and %s", clip(said.pkg()), registry.AnnotationName, ocispec.AnnotationVersion)
	default:
		c.Group, c.Artifact = said.Group, said.Artifact
	}
	if c.Version == "" && from >= 0 {
		c.Version = said.Version
		if v := versionOf(fileName(d.Files[from].Name), c.Artifact); v != "" && matches(said.Version, baseVersion(v)) {
			c.Version = v // that of a build, or what an expression stands for
		}
	}
	switch {
	case c.Version == "":
		return coords{}, artifacttypes.Invalid("nothing tells the version: add the POM, or the annotation %s", ocispec.AnnotationVersion)
	case strings.Contains(c.Version, "${"):
		return coords{}, artifacttypes.Invalid("the POM's version %s holds an expression: title the POM %s-VERSION.pom, push a flattened one, or add the annotation %s", clip(c.Version), c.Artifact, ocispec.AnnotationVersion)
	case isSnapshot(c.Version):
		prefix := strings.TrimSuffix(c.Version, snapshot)
		return coords{}, artifacttypes.Invalid("each build of %s is a version of its own: title its files %s-%sYYYYMMDD.HHMMSS-N.EXT and tag it %sYYYYMMDD.HHMMSS-N", c.Version, c.Artifact, prefix, prefix)
	}
	if err := checkPackage(c.Group, c.Artifact); err != nil {
		return coords{}, artifacttypes.Invalid("%s", registry.Public(err).Message)
	}
	return c, checkVersion(c.Version)
}

// hinted takes the coordinates from where the manifest is pushed to, if the
// names there can be read back.
func (d *description) hinted(c *coords) bool {
	path, tag := d.Annotations[registry.AnnotationNameHint], d.Annotations[registry.AnnotationVersionHint]
	group, artifact, ok := strings.Cut(path, "/")
	if encoded, err := artifacttypes.EncodePath(group, artifact); !ok || err != nil || encoded != path {
		return false
	}
	c.Group, c.Artifact = group, artifact
	if encoded, err := artifacttypes.EscapeTag(tag); c.Version == "" && err == nil && string(encoded) == tag {
		c.Version = tag
	}
	return true
}

// versionOf is the version in the title of a main artifact or a POM.
func versionOf(title, artifact string) string {
	rest, ok := strings.CutPrefix(title, artifact+"-")
	if !ok {
		return ""
	}
	version, _, ok := cutLast(rest, ".")
	if !ok {
		return ""
	}
	return version
}

// agree holds the POM to the coordinates. A build's POM has the snapshot's version.
func (d *description) agree(c coords) error {
	p := d.mainPOM()
	if p == nil {
		return nil
	}
	title := fileName(d.Files[d.pom].Name)
	switch {
	case !matches(p.Group, c.Group):
		return disagree(title, "group id", p.Group, c)
	case !matches(p.Artifact, c.Artifact):
		return disagree(title, "artifact id", p.Artifact, c)
	case !matches(p.Version, c.Version) && !matches(p.Version, baseVersion(c.Version)):
		return disagree(title, "version", p.Version, c)
	}
	return nil
}

func (m *module) agree(title string, c coords) error {
	switch {
	case m.Artifact == "":
		return nil // of another component
	case m.Group != c.Group:
		return disagree(title, "group", m.Group, c)
	case m.Artifact != c.Artifact:
		return disagree(title, "module", m.Artifact, c)
	case m.Version != c.Version && m.Version != baseVersion(c.Version):
		return disagree(title, "version", m.Version, c)
	}
	return nil
}

func disagree(title, what, said string, c coords) error {
	if title == "" {
		title = "the POM"
	}
	return artifacttypes.Invalid("%s says the %s is %q, but it is published as %s:%s", title, what, clip(said), c.pkg(), c.Version)
}

var mavenWord, pluginWord = regexp.MustCompile("-?maven-?"), regexp.MustCompile("-?plugin-?")

// defaultPrefix is the prefix of a plug-in whose descriptor names none,
// Maven's "Introduction to Plugin Prefix Resolution".
func defaultPrefix(artifact string) string {
	if artifact == "maven-plugin-plugin" {
		return "plugin"
	}
	return pluginWord.ReplaceAllString(mavenWord.ReplaceAllString(artifact, ""), "")
}

// nativeOf reads the format's own part of r's facts.
func nativeOf(r *registry.Release) native {
	var n native
	_ = json.Unmarshal(r.Native, &n) // Describe wrote it
	return n
}
