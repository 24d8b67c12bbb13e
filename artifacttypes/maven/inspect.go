package maven

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"path"
	"strings"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// fileFacts are what was found in one file; at most one of them is there.
type fileFacts struct {
	POM    *pom    `json:"pom,omitempty"`
	Jar    *jar    `json:"jar,omitempty"`
	Module *module `json:"module,omitempty"`
}

// Inspect implements [artifacttypes.Format]. It reads POMs, Gradle module
// metadata and jars; a repository holds files of any other kind, too, which
// are taken as they are.
func (Format) Inspect(_ context.Context, name, mediaType string, r io.ReaderAt, size int64) (json.RawMessage, error) {
	var facts fileFacts
	var err error
	title := fileName(name)
	if title == "" {
		title = "the file without a title"
	}
	kind, err := kindOf(fileName(name), mediaType, r)
	if err != nil {
		return nil, err
	}
	switch kind {
	case kindPOM:
		facts.POM, err = parsePOM(title, io.NewSectionReader(r, 0, size), size)
	case kindModule:
		facts.Module, err = parseModule(title, io.NewSectionReader(r, 0, size), size)
	case kindJar:
		facts.Jar, err = parseJar(title, r, size)
	case kindOther:
		return json.RawMessage("null"), nil
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(facts)
}

// factsOf reads what Inspect wrote.
func factsOf(f registry.File) (fileFacts, error) {
	var facts fileFacts
	if len(f.Facts.Native) == 0 {
		return facts, nil
	}
	err := json.Unmarshal(f.Facts.Native, &facts)
	return facts, err
}

// fileName is a layer's title without the directories that OCI clients put
// before a file's name.
func fileName(title string) string {
	if title == "" {
		return ""
	}
	return path.Base(strings.ReplaceAll(title, `\`, "/"))
}

type fileKind uint8

const (
	kindOther fileKind = iota
	kindPOM
	kindModule
	kindJar
)

const (
	typePOM    = "application/vnd.packhouse.maven.pom.v1+xml"
	typeModule = "application/vnd.packhouse.maven.module.v1+json"
	typeJar    = "application/java-archive"
)

// kindOf goes by the title, then the media type; without either it looks at
// the first bytes.
func kindOf(title, mediaType string, r io.ReaderAt) (fileKind, error) {
	_, ext, _ := cutLast(title, ".")
	switch {
	case title == "pom.xml", ext == "pom":
		return kindPOM, nil
	case ext == "module":
		return kindModule, nil
	case ext == "jar", ext == "war", ext == "ear", ext == "aar":
		return kindJar, nil
	case title != "":
		return kindOther, nil
	}
	switch mediaType {
	case typePOM:
		return kindPOM, nil
	case typeModule:
		return kindModule, nil
	case typeJar:
		return kindJar, nil
	}
	var head [64]byte
	n, err := r.ReadAt(head[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(head[:n], []byte("\xef\xbb\xbf")), " \t\r\n")
	switch {
	case bytes.HasPrefix(head[:n], []byte("PK")):
		return kindJar, nil
	case bytes.HasPrefix(text, []byte("<")):
		return kindPOM, nil
	}
	return kindOther, nil
}

// layerType is the media type of a file's layer, contentType what it is served as.
func layerType(suffix string) string {
	switch {
	case suffix == ".pom":
		return typePOM
	case strings.HasSuffix(suffix, ".module"):
		return typeModule
	}
	return contentType(suffix)
}

func contentType(suffix string) string {
	_, ext, _ := cutLast(suffix, ".")
	switch ext {
	case "jar", "war", "ear", "aar":
		return typeJar
	case "pom", "xml":
		return "text/xml"
	case "module":
		return "application/vnd.org.gradle.module+json"
	case "json":
		return "application/json"
	case "asc":
		return "application/pgp-signature"
	case "zip":
		return "application/zip"
	case "gz", "tgz":
		return "application/gzip"
	}
	return "application/octet-stream"
}

// invalidFacts is a bug: what Inspect wrote cannot be read.
func invalidFacts(f registry.File, err error) error {
	return artifacttypes.Invalid("what was stored about %s cannot be read: %v", f.Name, err)
}
