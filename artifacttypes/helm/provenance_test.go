package helm

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry"
)

func TestProvenance(t *testing.T) {
	t.Parallel()
	good := string(provenanceFor("web", "1.0.0", []byte("x")))
	want := &provenance{Name: "web", Version: "1.0.0", Files: map[string]string{"web-1.0.0.tgz": "sha256:" + sumOf([]byte("x"))}}
	for name, text := range map[string]string{"plain": good, "Windows": strings.ReplaceAll(good, "\n", "\r\n"), "no hash header": strings.Replace(good, "Hash: SHA512\n", "", 1)} {
		got, err := readProvenance(strings.NewReader(text), int64(len(text)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if !want.covers(sumOf([]byte("x"))) || want.covers(sumOf([]byte("y"))) {
		t.Errorf("covers is wrong")
	}
}

func TestProvenanceRefused(t *testing.T) {
	t.Parallel()
	good := string(provenanceFor("web", "1.0.0", []byte("x")))
	tests := []struct{ name, text, want string }{
		{"nothing", "", "no cleartext-signed message"},
		{"no signature", good[:strings.Index(good, provSign)], "no cleartext-signed message"},
		{"no end", strings.Replace(good, provEnd, "", 1), "no cleartext-signed message"},
		{"no checksums", strings.Replace(good, "\n...\n", "\n", 1), "no checksums"},
		{"checksums are no map", strings.Replace(good, "files:\n", "files: [a]\nx:\n", 1), "where Helm reads a map"},
		{"no name", strings.Replace(good, "name: web", "home: x", 1), "no name"},
		{"no YAML", strings.Replace(good, "name: web", "name: {", 1), "not valid YAML"},
		{"large", good + strings.Repeat("\n", maxProv), "the limit is"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := readProvenance(strings.NewReader(tt.text), int64(len(tt.text)))
			e, ok := errors.AsType[*registry.Error](err)
			if !ok || e.Code != registry.ManifestInvalid || !strings.Contains(e.Message, tt.want) {
				t.Errorf("got %v, want MANIFEST_INVALID with %q", err, tt.want)
			}
		})
	}
}

func FuzzProvenance(f *testing.F) {
	f.Add(provenanceFor("web", "1.0.0", []byte("x")))
	f.Fuzz(func(t *testing.T, content []byte) {
		p, err := readProvenance(bytes.NewReader(content), int64(len(content)))
		switch {
		case err != nil && !errors.Is(err, registry.ManifestInvalid):
			t.Errorf("error %v", err)
		case err == nil && (p.Name == "" || p.Version == ""):
			t.Errorf("accepted %+v", p)
		}
	})
}
