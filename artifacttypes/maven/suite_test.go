package maven

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/packhouse/packhouse/artifacttypes/typetest"
)

// sample is version of com.acme:lib: a jar with the given content and its POM.
func sample(t *testing.T, version, content string) typetest.Sample {
	t.Helper()
	stem := "lib-" + version
	files := []typetest.File{
		{Name: stem + ".jar", MediaType: typeJar, Content: zipped(t, "acme/A.class", content)},
		{Name: stem + ".pom", MediaType: typePOM, Content: []byte(pomOf("com.acme", "lib", version))},
	}
	dir := "/com/acme/lib/" + version + "/"
	return typetest.Sample{
		Package: "com.acme:lib", Version: version, Files: files,
		Paths: map[string]string{files[0].Name: dir + files[0].Name, files[1].Name: dir + files[1].Name},
		Publish: func(base string) ([]*http.Request, error) {
			var all []*http.Request
			for _, f := range files {
				for _, one := range [][2]string{{"", string(f.Content)}, {".sha1", digestOf("sha1", f.Content)}, {".md5", digestOf("md5", f.Content)}} {
					r, err := http.NewRequest(http.MethodPut, base+dir+f.Name+one[0], strings.NewReader(one[1])) //nolint:noctx // the suite adds it
					if err != nil {
						return nil, err
					}
					all = append(all, r)
				}
			}
			r, err := http.NewRequest(http.MethodPut, base+"/com/acme/lib/maven-metadata.xml", bytes.NewReader([]byte("<metadata/>"))) //nolint:noctx // the suite adds it
			return append(all, r), err
		},
	}
}

func pomOf(group, artifact, version string) string {
	return "<project><modelVersion>4.0.0</modelVersion><groupId>" + group + "</groupId><artifactId>" + artifact + "</artifactId><version>" + version + "</version></project>"
}

func TestContract(t *testing.T) { //nolint:paralleltest // the suite measures memory
	s := typetest.Suite{
		Format: Format{},
		First:  sample(t, "1.0", "one"), Second: sample(t, "1.1-rc+1", "two"), Altered: sample(t, "1.0", "other"),
		Documents: []string{"/com/acme/lib/maven-metadata.xml"},
	}
	for name, content := range hostileJars(t) {
		s.Hostile = append(s.Hostile, typetest.Hostile{Name: name, File: typetest.File{Name: "lib-1.0.jar", MediaType: typeJar, Content: content}})
	}
	for name, text := range hostilePOMs() {
		s.Hostile = append(s.Hostile, typetest.Hostile{Name: name, File: typetest.File{Name: "lib-1.0.pom", MediaType: typePOM, Content: []byte(text)}})
	}
	for name, text := range hostileModules() {
		s.Hostile = append(s.Hostile, typetest.Hostile{Name: name, File: typetest.File{Name: "lib-1.0.module", MediaType: typeModule, Content: []byte(text)}})
	}
	s.Run(t)
}
