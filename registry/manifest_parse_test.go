package registry_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/packhouse/packhouse/registry"
)

const (
	imageType = ocispec.MediaTypeImageManifest
	indexType = ocispec.MediaTypeImageIndex
)

var (
	hexA = strings.Repeat("a", 64)
	hexB = strings.Repeat("b", 64)
)

// desc renders a descriptor; extra is appended inside its braces.
func desc(mediaType, hex string, extra ...string) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":"sha256:%s","size":2%s}`, mediaType, hex, strings.Join(extra, ""))
}

func image(members string) string {
	return `{"schemaVersion":2,"config":` + desc("application/vnd.oci.image.config.v1+json", hexA) + members + `}`
}

func index(members string) string { return `{"schemaVersion":2` + members + `}` }

func d(mediaType, hex string) registry.Descriptor {
	return registry.Descriptor{MediaType: mediaType, Digest: registry.Digest("sha256:" + hex), Size: 2}
}

func TestParseManifest(t *testing.T) {
	t.Parallel()
	const configType = "application/vnd.oci.image.config.v1+json"
	config, layer := d(configType, hexA), d("l", hexB)
	urls := layer
	urls.URLs = []string{"https://example.com/x"}
	stray := d("application/vnd.oci.empty.v1+json", hexA)
	stray.ArtifactType = "application/vnd.dev.sigstore.bundle.v0.3+json"
	tests := []struct {
		name, contentType, raw string
		want                   registry.Parsed
	}{
		{
			"image", imageType, image(`,"layers":[` + desc("l", hexB) + `]`),
			registry.Parsed{MediaType: imageType, ArtifactType: configType, Config: &config, Blobs: []registry.Descriptor{config, layer}},
		},
		{
			"no layers", imageType, image(`,"layers":[]`),
			registry.Parsed{MediaType: imageType, ArtifactType: configType, Config: &config, Blobs: []registry.Descriptor{config}},
		},
		{
			"null lists", imageType, image(`,"layers":null,"manifests":null,"subject":null,"annotations":null,"artifactType":null`),
			registry.Parsed{MediaType: imageType, ArtifactType: configType, Config: &config, Blobs: []registry.Descriptor{config}},
		},
		{
			"same layer twice", imageType, image(`,"layers":[` + desc("l", hexB, `,"annotations":{"a":"1"}`) + "," + desc("l", hexB) + `]`),
			registry.Parsed{MediaType: imageType, ArtifactType: configType, Config: &config, Blobs: []registry.Descriptor{config, layer, layer}},
		},
		{
			"foreign layers", imageType, image(`,"layers":[` + desc("l", hexB, `,"urls":["https://example.com/x"]`) +
				"," + desc("application/vnd.oci.image.layer.nondistributable.v1.tar", hexB) +
				"," + desc("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", hexB) + `]`),
			registry.Parsed{
				MediaType: imageType, ArtifactType: configType, Config: &config, Blobs: []registry.Descriptor{config},
				Foreign: []registry.Descriptor{
					urls,
					d("application/vnd.oci.image.layer.nondistributable.v1.tar", hexB),
					d("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", hexB),
				},
			},
		},
		{
			"artifactType, subject, annotations and unknown fields", imageType + "; charset=utf-8",
			image(`,"artifactType":"a/b","subject":` + desc(imageType, hexB) + `,"annotations":{"k\u0041":"\ud83d\ude00\n"},"org.x":[{"y":1.5e3}],"blobs":7`),
			registry.Parsed{
				MediaType: imageType, ArtifactType: "a/b", Config: &config, Blobs: []registry.Descriptor{config},
				Subject: new(d(imageType, hexB)), Annotations: map[string]string{"kA": "😀\n"},
			},
		},
		{
			"stray artifactType in the config", "",
			`{"schemaVersion":2,"mediaType":"` + imageType + `","config":` +
				desc(stray.MediaType, hexA, `,"artifactType":"`+stray.ArtifactType+`"`) + `,"layers":[]}`,
			registry.Parsed{MediaType: imageType, ArtifactType: stray.MediaType, Config: &stray, Blobs: []registry.Descriptor{stray}},
		},
		{
			"index by shape", "", index(`,"manifests":[` + desc(imageType, hexA, `,"platform":{"os":"linux"}`) + `,` + desc(indexType, hexB) + `]`),
			registry.Parsed{MediaType: indexType, Children: []registry.Descriptor{d(imageType, hexA), d(indexType, hexB)}},
		},
		{
			"image by shape", "", image(""),
			registry.Parsed{MediaType: imageType, ArtifactType: configType, Config: &config, Blobs: []registry.Descriptor{config}},
		},
		{"empty index", indexType, index(`,"manifests":[]`), registry.Parsed{MediaType: indexType}},
		{
			"cache index of layers", indexType, index(`,"manifests":[` + desc("l", hexA) + `,` + desc("l", hexB, `,"urls":["https://example.com/x"]`) + `]`),
			registry.Parsed{MediaType: indexType, Blobs: []registry.Descriptor{d("l", hexA)}, Foreign: []registry.Descriptor{urls}},
		},
		{
			"docker image", registry.MediaTypeDockerManifest,
			`{"schemaVersion":2,"mediaType":"` + registry.MediaTypeDockerManifest + `","config":` + desc("application/vnd.docker.container.image.v1+json", hexA) + `,"layers":[]}`,
			registry.Parsed{
				MediaType: registry.MediaTypeDockerManifest, ArtifactType: "application/vnd.docker.container.image.v1+json",
				Config: new(d("application/vnd.docker.container.image.v1+json", hexA)),
				Blobs:  []registry.Descriptor{d("application/vnd.docker.container.image.v1+json", hexA)},
			},
		},
		{
			"docker list", registry.MediaTypeDockerList, index(`,"manifests":[` + desc(registry.MediaTypeDockerManifest, hexA) + `]`),
			registry.Parsed{MediaType: registry.MediaTypeDockerList, Children: []registry.Descriptor{d(registry.MediaTypeDockerManifest, hexA)}},
		},
		{
			"artifact manifest", "",
			`{"mediaType":"` + registry.MediaTypeArtifactManifest + `","artifactType":"a/b","blobs":[` + desc("l", hexB) + `],"subject":` + desc(imageType, hexA) + `}`,
			registry.Parsed{
				MediaType: registry.MediaTypeArtifactManifest, ArtifactType: "a/b",
				Blobs: []registry.Descriptor{layer}, Subject: new(d(imageType, hexA)),
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := registry.ParseManifest(tt.contentType, []byte(tt.raw))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("ParseManifest(%q) (-want +got):\n%s", tt.contentType, diff)
			}
		})
	}
}

func TestParseManifestRefuses(t *testing.T) {
	t.Parallel()
	const accepted = `push one of application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, ` +
		`application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json, ` +
		`application/vnd.oci.artifact.manifest.v1+json`
	many := strings.Repeat(desc("l", hexB)+",", 4096) + desc("l", hexB)
	keys := ""
	for i := range 40 {
		keys += fmt.Sprintf(`"k%d":"",`, i)
	}
	tests := []struct{ name, contentType, raw, want string }{
		{"empty", imageType, "", "the document ends where '{' was expected at byte 0"},
		{"not an object", imageType, "[]", "expected '{' at byte 0"},
		{"not JSON", imageType, image("")[1:], "expected '{'"},
		{"truncated", imageType, image("")[:60], "the document ends"},
		{"trailing data", imageType, image("") + "{}", "text after the end of the document"},
		{"trailing comma", imageType, image(`,"layers":[],`), "expected a key"},
		{"trailing comma in a list", imageType, image(`,"layers":[` + desc("l", hexB) + `,]`), "expected a value"},
		{"byte order mark", imageType, "\ufeff" + image(""), "expected '{' at byte 0"},
		{"bad UTF-8", imageType, image(",\"x\":\"\xff\""), "not valid UTF-8"},
		{"half a surrogate pair", imageType, image(`,"x":"\ud800"`), "half of a surrogate pair"},
		{"control character", imageType, image(",\"x\":\"\n\""), "control character"},
		{"bad escape", imageType, image(`,"x":"\x41"`), "unknown escape"},
		{"bad unicode escape", imageType, image(`,"x":"\u+123"`), "four hex digits"},
		{"leading zero", imageType, image(`,"x":01`), "expected ',' at"},
		{"bare word", imageType, image(`,"x":nul`), "expected null"},
		{"duplicate key", imageType, image(`,"layers":[],"layers":[]`), `duplicate key "layers"`},
		{"duplicate key, escaped", imageType, image(`,"layers":[],"\u006cayers":[]`), `duplicate key "layers"`},
		{"duplicate key, deep", imageType, image(`,"x":[{"y":{"z":1,"z":2}}]`), `duplicate key "z"`},
		{"duplicate key among many", imageType, image(`,"x":{` + keys + `"k39":1}`), `duplicate key "k39"`},
		{"duplicate annotation", imageType, image(`,"annotations":{"a":"1","a":"2"}`), `duplicate key "a"`},
		{"other case", imageType, image(`,"Layers":[` + desc("l", hexB) + `]`), `key "Layers" must be spelled "layers"`},
		{"other case by folding", imageType, image(`,"layer\u017f":[]`), `must be spelled "layers"`},
		{"other case in a descriptor", imageType, image(`,"layers":[` + desc("l", hexB, `,"DIGEST":"x"`) + `]`), `must be spelled "digest"`},
		{"too deep", imageType, image(`,"x":` + strings.Repeat("[", 64) + strings.Repeat("]", 64)), "nested deeper than 64 levels"},
		{"hostile depth", imageType, strings.Repeat(`{"a":`, 1<<20), "nested deeper than 64 levels"},
		{"too many descriptors", imageType, image(`,"layers":[` + many + `]`), "more than 4096 descriptors"},
		{"negative size", imageType, image(`,"subject":{"digest":"sha256:` + hexA + `","size":-1}`), "want a whole number"},
		{"fractional size", imageType, image(`,"subject":{"digest":"sha256:` + hexA + `","size":1.0}`), "want a whole number"},
		{"huge size", imageType, image(`,"subject":{"digest":"sha256:` + hexA + `","size":9223372036854775808}`), "want a whole number"},
		{"no size", imageType, image(`,"subject":{"digest":"sha256:` + hexA + `"}`), "descriptor without digest and size"},
		{"no digest", imageType, image(`,"subject":{"size":1}`), "descriptor without digest and size"},
		{"bad digest", imageType, image(`,"subject":{"digest":"sha256:` + hexA[1:] + `","size":1}`), "is not a sha256 or sha512 digest"},
		{"upper-case digest", imageType, image(`,"subject":{"digest":"sha256:` + strings.ToUpper(hexA) + `","size":1}`), "is not a sha256 or sha512 digest"},
		{"unknown algorithm", imageType, image(`,"subject":{"digest":"sha384:` + hexA + hexA[:32] + `","size":1}`), "is not a sha256 or sha512 digest"},
		{"annotation that is no string", imageType, image(`,"annotations":{"a":1}`), `expected '"'`},
		{"layers that are no list", imageType, image(`,"layers":{}`), "expected '['"},
		{"no schemaVersion", imageType, `{"config":` + desc("c", hexA) + `}`, "schemaVersion must be 2"},
		{"schemaVersion 3", imageType, `{"schemaVersion":3,"config":` + desc("c", hexA) + `}`, "schemaVersion must be 2"},
		{"schema 1 by shape", "", `{"schemaVersion":1,"name":"x","fsLayers":[]}`, `manifest type "unknown" is not accepted: ` + accepted},
		{"schema 1 by type", "application/vnd.docker.distribution.manifest.v1+prettyjws", `{}`, `"application/vnd.docker.distribution.manifest.v1+prettyjws" is not accepted: ` + accepted},
		{"schema 1 in disguise", imageType, image(`,"fsLayers":[]`), "fsLayers belongs to schema version 1"},
		{"unknown type", "application/json", image(""), `"application/json" is not accepted: ` + accepted},
		{"unknown mediaType", "", image(`,"mediaType":"text/plain"`), `"text/plain" is not accepted: ` + accepted},
		{"type and field disagree", imageType, index(`,"mediaType":"` + indexType + `","manifests":[]`), "make them the same"},
		{"no config", imageType, index(`,"layers":[]`), "an image manifest needs a config"},
		{"image with manifests", imageType, image(`,"manifests":[` + desc(imageType, hexB) + `]`), "only an index has manifests"},
		{"index with a config", indexType, image(`,"manifests":[]`), "an index has no config or layers"},
		{"index with layers", indexType, index(`,"manifests":[],"layers":[` + desc("l", hexB) + `]`), "an index has no config or layers"},
		{"index without manifests", indexType, index(""), "an index needs a manifests list"},
		{"index entry without type", indexType, index(`,"manifests":[{"digest":"sha256:` + hexA + `","size":1}]`), "needs a mediaType"},
		{"artifact with a config", registry.MediaTypeArtifactManifest, image(""), "an artifact manifest has no config or layers"},
		{"artifact with bad blobs", registry.MediaTypeArtifactManifest, `{"blobs":[1]}`, "expected '{'"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := registry.ParseManifest(tt.contentType, []byte(tt.raw))
			if !errors.Is(err, registry.ManifestInvalid) {
				t.Fatalf("ParseManifest(%q) = %v, want MANIFEST_INVALID", tt.contentType, err)
			}
			if message := registry.Public(err).Message; !strings.Contains(message, tt.want) {
				t.Errorf("message is %q, want it to say %q", message, tt.want)
			}
		})
	}
}

// FuzzManifest holds the parser against encoding/json: what is accepted must
// be JSON, and must refer to exactly what a decoder that folds case and lets
// the last duplicate win would read in it.
func FuzzManifest(f *testing.F) {
	f.Add(imageType, []byte(image(`,"layers":[`+desc("l", hexB)+`],"annotations":{"a":"b"}`)))
	f.Add(imageType, []byte(image(`,"Layers":[`+desc("l", hexB)+`]`)))
	f.Add("", []byte(image(`,"l\u0061yers":[],"subject":`+desc(imageType, hexB))))
	f.Add(indexType, []byte(index(`,"manifests":[`+desc(imageType, hexA)+`,`+desc("l", hexB)+`]`)))
	f.Add("", []byte(`{"mediaType":"`+registry.MediaTypeArtifactManifest+`","blobs":[`+desc("l", hexB)+`]}`))
	f.Add("", []byte(`{"schemaVersion":2,"x":[1.5e-3,true,false,null,{"y":"\ud83d\ude00"}],"manifests":[]}`))
	f.Fuzz(func(t *testing.T, contentType string, raw []byte) {
		p, err := registry.ParseManifest(contentType, raw)
		if err != nil {
			if !errors.Is(err, registry.ManifestInvalid) {
				t.Fatalf("error %v is not MANIFEST_INVALID", err)
			}
			return
		}
		type reference struct {
			MediaType string `json:"mediaType"`
			Digest    string `json:"digest"`
			Size      int64  `json:"size"`
		}
		type lax struct {
			Config       *reference        `json:"config"`
			Layers       []reference       `json:"layers"`
			Manifests    []reference       `json:"manifests"`
			Blobs        json.RawMessage   `json:"blobs"`
			Subject      *reference        `json:"subject"`
			ArtifactType string            `json:"artifactType"`
			Annotations  map[string]string `json:"annotations"`
		}
		var want lax
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatalf("accepted what encoding/json refuses: %v", err)
		}
		seen := map[reference]int{}
		count := func(by int, list ...reference) {
			for _, r := range list {
				seen[r] += by
			}
		}
		if want.Config != nil {
			count(1, *want.Config)
		}
		count(1, want.Layers...)
		count(1, want.Manifests...)
		if p.MediaType == registry.MediaTypeArtifactManifest && want.Blobs != nil {
			var blobs []reference
			if err := json.Unmarshal(want.Blobs, &blobs); err != nil {
				t.Fatal(err)
			}
			count(1, blobs...)
		}
		for _, list := range [][]registry.Descriptor{p.Blobs, p.Foreign, p.Children} {
			for _, d := range list {
				count(-1, reference{d.MediaType, d.Digest.String(), d.Size})
			}
		}
		for r, n := range seen {
			if n != 0 {
				t.Errorf("%+v: seen %d times more by encoding/json", r, n)
			}
		}
		if (p.Subject == nil) != (want.Subject == nil) || p.Subject != nil && p.Subject.Digest.String() != want.Subject.Digest {
			t.Errorf("subject is %v, want %v", p.Subject, want.Subject)
		}
		if diff := cmp.Diff(want.Annotations, p.Annotations); diff != "" {
			t.Errorf("annotations (-want +got):\n%s", diff)
		}
		if want.ArtifactType != "" && p.ArtifactType != want.ArtifactType {
			t.Errorf("artifactType is %q, want %q", p.ArtifactType, want.ArtifactType)
		}
	})
}

func BenchmarkParseManifest(b *testing.B) {
	for _, layers := range []int{3, 300, 3000} {
		raw := []byte(image(`,"layers":[` + strings.Repeat(desc("application/vnd.oci.image.layer.v1.tar+gzip", hexB)+",", layers-1) +
			desc("application/vnd.oci.image.layer.v1.tar+gzip", hexB) + `]`))
		b.Run(fmt.Sprintf("layers=%d", layers), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				if _, err := registry.ParseManifest(imageType, raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
