package generic

import (
	"bytes"
	"net/http"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/packhouse/packhouse/artifacttypes/typetest"
	"github.com/packhouse/packhouse/registry"
)

// release is a sample with two files, one of them in a folder.
func release(version, content string) typetest.Sample {
	s := typetest.Sample{Package: "Tool +1", Version: version, Paths: map[string]string{}, Files: []typetest.File{
		{Name: "tool.bin", MediaType: "application/octet-stream", Content: []byte(content)},
		{Name: "doc/read me.txt", MediaType: "text/plain", Content: []byte("how to use it")},
	}}
	const escaped = "/Tool%20+1/"
	s.Paths["tool.bin"] = escaped + version + "/tool.bin"
	s.Paths["doc/read me.txt"] = escaped + version + "/doc/read%20me.txt"
	s.Publish = func(base string) ([]*http.Request, error) {
		var list []*http.Request
		for _, f := range s.Files {
			r, err := http.NewRequest(http.MethodPut, base+s.Paths[f.Name], bytes.NewReader(f.Content)) //nolint:noctx // the suite adds it
			if err != nil {
				return nil, err
			}
			r.Header.Set("Content-Type", f.MediaType)
			list = append(list, r)
		}
		return list, nil
	}
	return s
}

func TestContract(t *testing.T) { //nolint:paralleltest // the suite measures memory
	const version = "1:1.0~rc1"
	typetest.Suite{
		Format: Format{},
		First:  release(version, "the first"), Second: release("2.0", "the second"), Altered: release(version, "another"),
		Documents: []string{"/Tool%20+1"},
		Hostile: []typetest.Hostile{
			{Name: "no title", File: typetest.File{MediaType: "text/plain", Content: []byte("x")}},
			{Name: "leads out", File: typetest.File{Name: "../x", MediaType: "text/plain", Content: []byte("x")}},
			{Name: "absolute", File: typetest.File{Name: "/etc/passwd", MediaType: "text/plain", Content: []byte("x")}},
			{Name: "backslash", File: typetest.File{Name: `..\x`, MediaType: "text/plain", Content: []byte("x")}},
			{Name: "control character", File: typetest.File{Name: "a\x1bb", MediaType: "text/plain", Content: []byte("x")}},
		},
		Annotations: map[string]string{registry.AnnotationName: "Tool +1", ocispec.AnnotationVersion: version},
	}.Run(t)
}
