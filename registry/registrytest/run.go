package registrytest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/packhouse/packhouse/registry"
)

// Run checks that what open returns keeps the contract of
// [registry.Registry]. open is called once per subtest and returns an empty
// registry that refuses sparse manifests, allows everything to everybody and
// has no limits below 1 MiB.
func Run(t *testing.T, open func(t *testing.T) registry.Registry) {
	t.Helper()
	for _, group := range []struct {
		name  string
		tests map[string]func(*testing.T, fixture)
	}{
		{"Blob", blobTests()},
		{"Upload", uploadTests()},
		{"Manifest", manifestTests()},
		{"Referrers", referrersTests()},
		{"Delete", deleteTests()},
		{"List", listTests()},
	} {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			for name, test := range group.tests {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					test(t, fixture{t: t, Registry: open(t)})
				})
			}
		})
	}
}

const (
	repo  registry.Repo = "acme/app"
	other registry.Repo = "acme/other"
)

// fixture is a registry under test with the steps that most tests take first.
type fixture struct {
	registry.Registry
	t *testing.T
}

// blob pushes content to r.
func (f fixture) blob(r registry.Repo, content string) registry.Digest {
	f.t.Helper()
	want := digest.FromString(content)
	if _, err := f.PutBlob(f.t.Context(), r, strings.NewReader(content), want); err != nil {
		f.t.Fatalf("PutBlob: %v", err)
	}
	return want
}

// put pushes m to repo.
func (f fixture) put(m registry.Manifest, tags ...registry.Tag) registry.Manifest {
	f.t.Helper()
	got, err := f.PutManifest(f.t.Context(), repo, m, registry.PutOptions{Tags: tags})
	if err != nil {
		f.t.Fatalf("PutManifest: %v", err)
	}
	if got.Digest != m.Digest || got.MediaType != m.MediaType || got.Size != m.Size {
		f.t.Fatalf("PutManifest describes %+v, want %+v", got.Descriptor, m.Descriptor)
	}
	return m
}

// image pushes an image with a config and a layer of its own to repo.
func (f fixture) image(seed string, tags ...registry.Tag) registry.Manifest {
	f.t.Helper()
	config, layer := "config of "+seed, "layer of "+seed
	f.blob(repo, config)
	f.blob(repo, layer)
	return f.put(Image(nil, []byte(config), []byte(layer)), tags...)
}

func (f fixture) wantCode(err error, code registry.Code) {
	f.t.Helper()
	if !errors.Is(err, code) {
		f.t.Errorf("error is %v, want %s", err, code)
	}
}

// wantDetail checks that err's detail names each of names.
func (f fixture) wantDetail(err error, names ...registry.Digest) {
	f.t.Helper()
	detail, marshalErr := json.Marshal(registry.Public(err).Detail)
	if marshalErr != nil {
		f.t.Fatal(marshalErr)
	}
	for _, name := range names {
		if !bytes.Contains(detail, []byte(name)) {
			f.t.Errorf("detail is %s, want it to name %s", detail, name)
		}
	}
}

// content reads n bytes of a blob from off, by Read and by WriteTo.
func (f fixture) content(r registry.Repo, d registry.Digest, off, n int64) string {
	f.t.Helper()
	var read [2]string
	for i := range read {
		body, err := f.Blob(f.t.Context(), r, d, off, n)
		if err != nil {
			f.t.Fatalf("Blob: %v", err)
		}
		var out bytes.Buffer
		w, ok := body.(io.WriterTo)
		switch {
		case !ok:
			f.t.Fatalf("%T is no io.WriterTo", body)
		case i == 0:
			_, err = w.WriteTo(&out)
		default:
			_, err = out.ReadFrom(struct{ io.Reader }{body})
		}
		if err := errors.Join(err, body.Close()); err != nil {
			f.t.Fatal(err)
		}
		read[i] = out.String()
	}
	if read[0] != read[1] {
		f.t.Fatalf("WriteTo wrote %d bytes, Read %d, or others", len(read[0]), len(read[1]))
	}
	return read[0]
}

// wantManifest checks that repo serves m under its digest.
func (f fixture) wantManifest(m registry.Manifest) {
	f.t.Helper()
	got, err := f.Manifest(f.t.Context(), repo, m.Digest)
	f.wantSame(got, err, m)
}

// wantTag checks that t of repo points to m.
func (f fixture) wantTag(t registry.Tag, m registry.Manifest) {
	f.t.Helper()
	got, err := f.Tagged(f.t.Context(), repo, t)
	f.wantSame(got, err, m)
}

func (f fixture) wantSame(got registry.Manifest, err error, want registry.Manifest) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
	if !bytes.Equal(got.Raw, want.Raw) || got.Digest != want.Digest || got.MediaType != want.MediaType || got.Size != want.Size {
		f.t.Errorf("manifest is %+v, want %+v", got, want)
	}
}

func (f fixture) wantNoTag(tags ...registry.Tag) {
	f.t.Helper()
	for _, t := range tags {
		_, err := f.Tagged(f.t.Context(), repo, t)
		f.wantCode(err, registry.ManifestUnknown)
	}
}

// collect ends the test on an error, and when an error is not the last element.
func collect[T any](t *testing.T, seq iter.Seq2[T, error]) []T {
	t.Helper()
	list := []T{}
	for v, err := range seq {
		if err != nil {
			t.Fatalf("sequence: %v", err)
		}
		list = append(list, v)
	}
	return list
}

// onlyError returns the error of a sequence that must yield nothing else.
func onlyError[T any](t *testing.T, seq iter.Seq2[T, error]) error {
	t.Helper()
	var errs []error
	for v, err := range seq {
		if err == nil {
			t.Errorf("sequence yields %v", v)
		}
		errs = append(errs, err)
	}
	if len(errs) != 1 {
		t.Fatalf("sequence yields %d errors, want 1", len(errs))
	}
	return errs[0]
}
