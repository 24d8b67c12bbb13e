package engine

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"pgregory.net/rapid"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/registrytest"
)

// TestModel runs random operations against the engine and against the model,
// and wants the same answers. Names are few, so that operations meet.
//
// Mutations that turn it red: leave generation.Add out of cache.changing;
// leave the tags out of Tx.CloseMembership; skip checkNames.
//
// Each operation commits, so rapid's own 100 runs would take minutes; give
// -rapid.checks for more.
func TestModel(t *testing.T) {
	t.Parallel()
	checkModel(t, open(t), math.MaxInt)
}

// fewChecks are those of a model test.
var fewChecks = sync.OnceValue(func() error {
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		return flag.Set("rapid.checks", "25")
	}
	return nil
})

// checkModel compares a registry with the model, at most the given times.
func checkModel(t *testing.T, e registry.Registry, times int) {
	t.Helper()
	if err := fewChecks(); err != nil {
		t.Fatal(err)
	}
	runs := 0 // each with repositories and contents of its own
	rapid.Check(t, func(rt *rapid.T) {
		if runs++; runs > times {
			return
		}
		own := fmt.Sprintf("run%d", runs)
		m := &model{
			t: rt, engine: e, memory: &registrytest.Memory{},
			repos:    []registry.Repo{registry.Repo(own), registry.Repo(own + "/app")},
			contents: []string{own + " x", own + " yy"},
		}
		rt.Repeat(map[string]func(*rapid.T){
			"putBlob":        m.putBlob,
			"mount":          m.mount,
			"putImage":       m.putImage,
			"putIndex":       m.putIndex,
			"deleteTag":      m.deleteTag,
			"deleteManifest": m.deleteManifest,
			"deleteBlob":     m.deleteBlob,
			"":               m.compare,
		})
	})
}

var modelTags = []registry.Tag{"1", "2", "latest"}

type model struct {
	t         *rapid.T
	engine    registry.Registry
	memory    *registrytest.Memory
	repos     []registry.Repo
	contents  []string
	manifests []registry.Manifest // that were ever pushed, in any repository
}

// both runs one operation on each and compares the errors' codes.
func (m *model) both(name string, op func(registry.Registry) error) {
	got, want := op(m.engine), op(m.memory)
	if code(got) != code(want) {
		m.t.Fatalf("%s: engine says %v, model says %v", name, got, want)
	}
}

func code(err error) registry.Code {
	if err == nil {
		return ""
	}
	return registry.Public(err).Code
}

func pick[T any](t *rapid.T, label string, from []T) T {
	return rapid.SampledFrom(from).Draw(t, label)
}

func (m *model) putBlob(t *rapid.T) {
	r, content := pick(t, "repo", m.repos), pick(t, "content", m.contents)
	m.both("put blob", func(reg registry.Registry) error {
		_, err := reg.PutBlob(m.t.Context(), r, strings.NewReader(content), digest.FromString(content))
		return err
	})
}

func (m *model) mount(t *rapid.T) {
	from, to := pick(t, "from", append(slices.Clone(m.repos), "")), pick(t, "to", m.repos)
	d := digest.FromString(pick(t, "content", m.contents))
	m.both("mount", func(reg registry.Registry) error {
		_, err := reg.Mount(m.t.Context(), from, to, d)
		return err
	})
}

func (m *model) put(t *rapid.T, manifest registry.Manifest) {
	r := pick(t, "repo", m.repos)
	o := registry.PutOptions{Tags: rapid.SliceOfNDistinct(rapid.SampledFrom(modelTags), 0, 2, rapid.ID).Draw(t, "tags"), If: m.condition(t)}
	m.both("put manifest", func(reg registry.Registry) error {
		_, err := reg.PutManifest(m.t.Context(), r, manifest, o)
		return err
	})
	m.manifests = append(m.manifests, manifest)
}

func (m *model) condition(t *rapid.T) registry.Condition {
	switch pick(t, "condition", []string{"none", "none", "new", "exists", "is"}) {
	case "new":
		return registry.Condition{NoneMatch: []string{"*"}}
	case "exists":
		return registry.Condition{Match: []string{"*"}}
	case "is":
		if len(m.manifests) > 0 {
			return registry.Condition{Match: []string{pick(t, "current", m.manifests).Digest.String()}}
		}
	}
	return registry.Condition{}
}

func (m *model) putImage(t *rapid.T) {
	var refer func(*ocispec.Manifest)
	if len(m.manifests) > 0 && rapid.Bool().Draw(t, "referrer") {
		d := pick(t, "subject", m.manifests).Descriptor
		refer = func(im *ocispec.Manifest) {
			im.Subject = &registry.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
		}
	}
	m.put(t, registrytest.Image(refer, []byte(pick(t, "config", m.contents)), []byte(pick(t, "layer", m.contents))))
}

func (m *model) putIndex(t *rapid.T) {
	if len(m.manifests) == 0 {
		return
	}
	m.put(t, registrytest.Index(nil, pick(t, "child", m.manifests)))
}

func (m *model) deleteTag(t *rapid.T) {
	r, tag, c := pick(t, "repo", m.repos), pick(t, "tag", modelTags), m.condition(t)
	m.both("delete tag", func(reg registry.Registry) error { return reg.DeleteTag(m.t.Context(), r, tag, c) })
}

func (m *model) deleteManifest(t *rapid.T) {
	if len(m.manifests) == 0 {
		return
	}
	r, d, c := pick(t, "repo", m.repos), pick(t, "manifest", m.manifests).Digest, m.condition(t)
	m.both("delete manifest", func(reg registry.Registry) error { return reg.DeleteManifest(m.t.Context(), r, d, c) })
}

func (m *model) deleteBlob(t *rapid.T) {
	r, d := pick(t, "repo", m.repos), digest.FromString(pick(t, "content", m.contents))
	m.both("delete blob", func(reg registry.Registry) error { return reg.DeleteBlob(m.t.Context(), r, d) })
}

// compare reads everything from both, twice: the second time from the cache.
func (m *model) compare(*rapid.T) {
	want := m.everything(m.memory)
	for range 2 {
		if got := m.everything(m.engine); got != want {
			m.t.Fatalf("engine shows\n%s\nmodel shows\n%s", got, want)
		}
	}
}

func (m *model) everything(reg registry.Registry) string {
	ctx := m.t.Context()
	var s strings.Builder
	for r, err := range reg.Repos(ctx, "") {
		if err != nil || slices.Contains(m.repos, r) {
			fmt.Fprintln(&s, "repository", r, code(err))
		}
	}
	for _, r := range m.repos {
		fmt.Fprintln(&s, r, "tags", list(reg.Tags(ctx, r, "")))
		for _, tag := range modelTags {
			got, err := reg.Tagged(ctx, r, tag)
			fmt.Fprintln(&s, r, tag, got.Digest, code(err))
		}
		for _, known := range m.distinct() {
			got, err := reg.Manifest(ctx, r, known.Digest)
			fmt.Fprintln(&s, r, known.Digest, got.MediaType, bytes.Equal(got.Raw, known.Raw), code(err))
			var referrers []string
			for d, err := range reg.Referrers(ctx, r, known.Digest, "", "") {
				referrers = append(referrers, fmt.Sprint(d.Digest, d.ArtifactType, d.Size, code(err)))
			}
			fmt.Fprintln(&s, r, known.Digest, "referrers", referrers)
			computed, err := reg.Tagged(ctx, r, registry.ReferrersTag(known.Digest))
			fmt.Fprintln(&s, r, known.Digest, "referrers tag", computed.Digest, code(err))
		}
		for _, content := range m.contents {
			fmt.Fprintln(&s, r, "blob", m.read(reg, r, digest.FromString(content)))
		}
	}
	return s.String()
}

func (m *model) distinct() []registry.Manifest {
	all := slices.Clone(m.manifests)
	slices.SortFunc(all, func(a, b registry.Manifest) int { return cmp.Compare(a.Digest, b.Digest) })
	return slices.CompactFunc(all, func(a, b registry.Manifest) bool { return a.Digest == b.Digest })
}

func (m *model) read(reg registry.Registry, r registry.Repo, d registry.Digest) string {
	body, err := reg.Blob(m.t.Context(), r, d, 0, -1)
	if err != nil {
		return string(code(err))
	}
	content, err := io.ReadAll(body)
	if err := errors.Join(err, body.Close()); err != nil {
		return err.Error()
	}
	return string(content)
}

func list[T any](seq iter.Seq2[T, error]) string {
	var all []T
	for item, err := range seq {
		if err != nil {
			return string(code(err))
		}
		all = append(all, item)
	}
	return fmt.Sprint(all)
}
