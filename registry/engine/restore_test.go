package engine

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

func TestRestoreManifest(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, p *place) {
		t.Helper()
		e, _ := p.engine(t)
		child := pushImage(t, e, "child")
		index := pushIndex(t, e, "1.0", child)
		if _, err := e.PutManifest(t.Context(), repo, index, registry.PutOptions{Tags: []registry.Tag{"latest", "old"}}); err != nil {
			t.Fatal(err)
		}
		if err := e.DeleteTag(t.Context(), repo, "old", registry.Condition{}); err != nil {
			t.Fatal(err)
		}
		remove(t, e, index.Digest, child.Digest)
		pushImage(t, e, "newer", "latest")
		collect(t, e)

		dry := Undelete{Repo: repo, Digest: index.Digest, DryRun: true}
		want := Undeleted{Kind: KindManifest, Digest: index.Digest, Tags: []registry.Tag{"1.0"}}
		if got, err := e.Restore(t.Context(), dry); err != nil || !cmp.Equal(got, want) || isShown(t, e, index.Digest) {
			t.Errorf("dry run: %+v, %v; want %+v and no change", got, err, want)
		}
		if got, err := e.Restore(t.Context(), Undelete{Repo: repo, Digest: index.Digest}); err != nil || !cmp.Equal(got, want) {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
		m, err := e.Tagged(t.Context(), repo, "1.0")
		if err != nil || m.Digest != index.Digest || !isShown(t, e, child.Digest) {
			t.Errorf("1.0 is %s, %v; the child is shown: %t", m.Digest, err, isShown(t, e, child.Digest))
		}
		if m, err := e.Tagged(t.Context(), repo, "latest"); err != nil || m.Digest == index.Digest {
			t.Errorf("a tag that was set anew was moved: %s, %v", m.Digest, err)
		}
		if _, err := e.StatBlob(t.Context(), repo, digest.FromString("layer child")); err != nil {
			t.Error(err)
		}
		_, err = e.Restore(t.Context(), Undelete{Repo: repo, Digest: index.Digest})
		wantCode(t, err, registry.ManifestUnknown) // it is there
		remove(t, e, index.Digest)
		p.advance(61 * time.Minute)
		_, err = e.Restore(t.Context(), Undelete{Repo: repo, Digest: index.Digest})
		wantCode(t, err, registry.ManifestUnknown)
		if r := fsck(t, e, false); r.Found != 0 {
			t.Errorf("%+v", r)
		}
	})
}

// The mutation that turns this red: leave the window out of
// [Engine.restoreRepository].
func TestARepositoryComesBackUntilItsWindowEnds(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, p *place) {
		t.Helper()
		e, _ := p.engine(t)
		pushImage(t, e, "one", "1.0")
		if err := e.DeleteRepository(t.Context(), repo); err != nil {
			t.Fatal(err)
		}
		p.advance(59 * time.Minute)
		collect(t, e)
		if err := e.RestoreRepository(t.Context(), repo); err != nil {
			t.Fatal(err)
		}
		if err := e.DeleteRepository(t.Context(), repo); err != nil {
			t.Fatal(err)
		}
		p.advance(61 * time.Minute)
		wantCode(t, e.RestoreRepository(t.Context(), repo), registry.NameUnknown) // not collected yet
		collect(t, e)
		wantCode(t, e.RestoreRepository(t.Context(), repo), registry.NameUnknown)
	})
}

// A purge that was broken off cannot be undone, and goes on.
func TestAPurgeGoesOn(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, p *place) {
		t.Helper()
		e, _ := p.engine(t)
		pushImage(t, e, "one", "1.0")
		if err := e.DeleteRepository(t.Context(), repo); err != nil {
			t.Fatal(err)
		}
		if err := e.clean(t.Context(), func(ctx context.Context, tx *meta.Tx) error {
			_, err := tx.PurgeNamed(ctx, repo)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		wantCode(t, e.RestoreRepository(t.Context(), repo), registry.NameUnknown)
		if list, err := e.DeletedRepositories(t.Context()); err != nil || len(list) != 0 {
			t.Errorf("the trash has %v, %v", list, err)
		}
		if got := collect(t, e); got.Manifests != 1 {
			t.Errorf("got %+v, want the manifest", got)
		}
		if err := e.RestoreRepository(t.Context(), repo); !errors.Is(err, registry.NameUnknown) {
			t.Error(err)
		}
	})
}

func TestRestorables(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, p *place) {
		t.Helper()
		e, _ := p.engine(t)
		tagged := pushImage(t, e, "tagged", "1.0", "kept")
		plain := pushImage(t, e, "plain")
		whole := pushImage(t, e, "whole", "2.0")
		pushBlob(t, e, "acme/gone", "x")
		pushBlob(t, e, "acme/purged", "x")
		for _, err := range []error{
			e.DeleteTag(t.Context(), repo, "1.0", registry.Condition{}),
			e.DeleteManifest(t.Context(), repo, plain.Digest, registry.Condition{}),
			e.DeleteManifest(t.Context(), repo, whole.Digest, registry.Condition{}),
			e.DeleteRepository(t.Context(), "acme/gone"),
			e.DeleteRepository(t.Context(), "acme/purged"),
			e.PurgeRepository(t.Context(), "acme/purged"),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		list := func(name registry.Repo, page int) (got []string) {
			t.Helper()
			for after := (Restorable{}); ; {
				some, err := e.Restorables(t.Context(), name, after, page)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range some {
					got = append(got, r.Kind+" "+string(r.Repo)+" "+string(r.Tag)+" "+r.Digest.String())
				}
				if len(some) < page {
					slices.Sort(got)
					return got
				}
				after = some[page-1]
			}
		}
		of := []string{
			"manifest acme/app  " + plain.Digest.String(),
			"tag acme/app 1.0 " + tagged.Digest.String(),
			"tag acme/app 2.0 " + whole.Digest.String(),
		}
		all := append(slices.Clone(of), "repository acme/gone  ")
		slices.Sort(all)
		for _, page := range []int{1, 2, 3, 100} {
			if diff := cmp.Diff(all, list("", page)); diff != "" {
				t.Errorf("all, pages of %d (-want +got):\n%s", page, diff)
			}
			if diff := cmp.Diff(of, list(repo, page)); diff != "" {
				t.Errorf("one repository, pages of %d (-want +got):\n%s", page, diff)
			}
		}
		p.advance(61 * time.Minute)
		if got := list("", 100); len(got) != 0 {
			t.Errorf("past the window: %v", got)
		}
	})
}
