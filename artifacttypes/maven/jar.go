package maven

import (
	"bufio"
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"slices"
	"strings"
)

// jar is what an archive says of itself.
type jar struct {
	// coords are those of the one project it was built from, of META-INF/maven;
	// empty where it names none, or several and none fits the file's name.
	coords
	// POM is the POM that it was built from, deflated; empty where it is large.
	POM []byte `json:"pom,omitempty"`
	// Plugin is there for a Maven plug-in.
	Plugin *plugin `json:"plugin,omitempty"`
}

// plugin is what the group's metadata tells of a plug-in.
type plugin struct {
	Prefix string `json:"prefix"`
	Name   string `json:"name,omitempty"`
}

const (
	metaInf       = "META-INF/maven/"
	pluginXML     = metaInf + "plugin.xml"
	pomXML        = "/pom.xml"
	pomProperties = "/pom.properties"

	maxProperties = 64 << 10 // bytes of a pom.properties
	maxEmbedded   = 64 << 10 // bytes of a POM that is kept
	maxPacked     = 16 << 10 // deflated
	maxProjects   = 512      // whose entries are looked at: a shaded jar has those of all it holds
)

// parseJar reads what Maven leaves in an archive. It returns MANIFEST_INVALID.
func parseJar(name string, r io.ReaderAt, size int64) (*jar, error) {
	a := &archive{r: r, size: size, name: name}
	found := map[string]entry{}
	folded := map[string]bool{}
	wanted := func(entry []byte) bool {
		return len(entry) >= len(metaInf) && bytes.EqualFold(entry[:len(metaInf)], []byte(metaInf)) && entry[len(entry)-1] != '/' && len(found) < 2*maxProjects
	}
	err := a.walk(wanted, func(e entry) error {
		rest := strings.ToLower(e.name[len(metaInf):])
		if rest != "plugin.xml" && !(strings.Count(rest, "/") == 2 && (strings.HasSuffix(rest, pomXML) || strings.HasSuffix(rest, pomProperties))) {
			return nil
		}
		if folded[rest] {
			return a.invalid("it holds %s twice", clip(e.name))
		}
		folded[rest] = true
		found[e.name] = e
		return nil
	})
	if err != nil {
		return nil, err
	}
	var j jar
	if e, ok := found[pluginXML]; ok {
		if j.Plugin, err = readPlugin(a, e); err != nil {
			return nil, err
		}
	}
	if project := projectOf(name, found); project != "" {
		if err := j.readProject(a, found, project); err != nil {
			return nil, err
		}
	}
	return &j, nil
}

// projectOf picks the directory of the project that the archive called name is
// of: the only one there is, or the one that name starts with.
func projectOf(name string, found map[string]entry) string {
	var all, fit []string
	for path := range found {
		project, ok := strings.CutSuffix(path, pomProperties)
		if !ok {
			continue
		}
		all = append(all, project)
		_, artifact, _ := cutLast(project, "/")
		if strings.HasPrefix(name, artifact+"-") || strings.HasPrefix(name, artifact+".") {
			fit = append(fit, project)
		}
	}
	slices.SortFunc(fit, func(a, b string) int { return len(artifactOf(b)) - len(artifactOf(a)) })
	switch {
	case len(all) == 1:
		return all[0]
	case len(fit) == 1, len(fit) > 1 && len(artifactOf(fit[0])) > len(artifactOf(fit[1])):
		return fit[0]
	}
	return ""
}

func artifactOf(project string) string {
	_, artifact, _ := cutLast(project, "/")
	return artifact
}

// readProject takes coordinates and POM. What makes no sense is left out: only
// a jar that is pushed alone needs them.
func (j *jar) readProject(a *archive, found map[string]entry, project string) error {
	text, err := a.readAll(found[project+pomProperties], maxProperties)
	if err != nil {
		return err
	}
	values := parseProperties(text)
	c := coords{values["groupId"], values["artifactId"], values["version"]}
	if !c.legal() || metaInf+c.Group+"/"+c.Artifact != project {
		return nil
	}
	j.coords = c
	e, ok := found[project+pomXML]
	if !ok || e.unpacked > maxEmbedded {
		return nil
	}
	text, err = a.readAll(e, maxEmbedded)
	if err != nil {
		return err
	}
	if packed := deflate(text); isPOMOf(c, text) && len(packed) <= maxPacked {
		j.POM = packed
	}
	return nil
}

func isPOMOf(c coords, text []byte) bool {
	p, err := parsePOM("pom.xml", bytes.NewReader(text), int64(len(text)))
	return err == nil && matches(p.Group, c.Group) && matches(p.Artifact, c.Artifact) && matches(p.Version, c.Version)
}

func (a *archive) readAll(e entry, limit uint64) ([]byte, error) {
	if e.unpacked > limit {
		return nil, a.invalid("%s has more than %d KiB", e.name, limit>>10)
	}
	r, err := a.open(e)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(r)
	if err == nil && uint64(len(text)) != e.unpacked {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, a.unreadable(e, err)
	}
	return text, nil
}

func (a *archive) unreadable(e entry, err error) error {
	_, corrupt := errors.AsType[flate.CorruptInputError](err)
	if corrupt || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return a.invalid("%s in it cannot be unpacked", e.name)
	}
	return err
}

// readPlugin reads the head of a plug-in descriptor. The list of goals, which
// may be long, is not read.
func readPlugin(a *archive, e entry) (*plugin, error) {
	r, err := a.open(e)
	if err != nil {
		return nil, err
	}
	x := newXMLReader(e.name+" in "+a.name, bufio.NewReader(r))
	if err := x.root("plugin"); err != nil {
		return nil, a.unreadable(e, err)
	}
	var p plugin
	done := errors.New("done")
	err = x.children(func(element string) (err error) {
		switch element {
		case "name":
			p.Name, err = x.text()
		case "goalPrefix":
			p.Prefix, err = x.text()
		case "mojos", "dependencies":
			return done
		default:
			err = x.skip()
		}
		return err
	})
	if err != nil && !errors.Is(err, done) {
		return nil, a.unreadable(e, err)
	}
	p.Name = summary(p.Name)
	if p.Prefix != "" && !legalName(p.Prefix) {
		return nil, a.invalid("its plug-in prefix %q is not a name", clip(p.Prefix))
	}
	return &p, nil
}

// parseProperties reads the simple lines of a .properties file that Maven
// writes: KEY=VALUE, "#" for comments, a backslash before some characters.
func parseProperties(text []byte) map[string]string {
	values := map[string]string{}
	for line := range bytes.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(string(line)), "=")
		if ok && key != "" && key[0] != '#' && key[0] != '!' {
			values[strings.TrimSpace(key)] = strings.ReplaceAll(strings.TrimSpace(value), `\`, "")
		}
	}
	return values
}

func deflate(text []byte) []byte {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		return nil
	}
	_, _ = w.Write(text) // a buffer does not fail
	_ = w.Close()
	return b.Bytes()
}

// inflate undoes deflate.
func inflate(packed []byte) ([]byte, error) {
	return io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), maxEmbedded))
}
