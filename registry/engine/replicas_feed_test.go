package engine

import (
	"context"
	"strings"
	"testing"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/registrytest"
)

// TestFeedsOfReplicas makes and removes a feed on one replica; the other must
// know at once, also when that happens after its request was validated.
//
// Mutations that turn it red: leave KnowFeeds out of PutManifest; leave
// errFeedsMoved out of changeKnowing; touch no stripe in ensureFeed or
// DeleteFeed.
func TestFeedsOfReplicas(t *testing.T) {
	t.Parallel()
	s := share(t)
	toy := func(c *Config) {
		c.Formats = []Format{{Name: "toy", ArtifactTypes: []string{"application/vnd.packhouse.toy.v1"}}}
	}
	one, two := s.replica(toy), s.replica(toy)
	image := func(ctx context.Context, e *Engine, r registry.Repo) error {
		t.Helper()
		for _, content := range []string{"config", "layer"} {
			if _, err := e.PutBlob(context.WithoutCancel(ctx), r, strings.NewReader(content), ""); err != nil {
				t.Fatal(err)
			}
		}
		_, err := e.PutManifest(ctx, r, registrytest.Image(nil, []byte("config"), []byte("layer")), registry.PutOptions{Tags: []registry.Tag{"latest"}})
		return err
	}
	// validated is a request whose names were validated a moment ago.
	validated := func(e *Engine) context.Context {
		ctx, reads := request(t.Context(), false)
		reads.Validated.Store(e.cache.authority.(*follower).clock())
		return ctx
	}
	create := func(name registry.Repo) {
		t.Helper()
		if _, err := one.CreateFeed(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		if _, ok := one.Feed(string(name)); !ok {
			t.Errorf("who made %s does not know it", name)
		}
	}
	create("acme/toy")
	if _, ok := two.Feed("acme/toy"); ok {
		t.Error("known before anybody asked: the test shows nothing")
	}
	if err := image(t.Context(), two, "acme/toy/x"); registry.Public(err).Code != registry.ManifestInvalid {
		t.Errorf("image into the feed: %v", err)
	}
	if _, ok := two.Feed("acme/toy"); !ok {
		t.Error("not known after a request")
	}

	create("late/toy")
	err := image(validated(two), two, "late/toy/x")
	if registry.Public(err).Code != registry.ManifestInvalid {
		t.Errorf("image into a feed that was made after the validation: %v", err)
	}
	create("later/toy")
	_, err = two.CreateRepository(validated(two), "later/toy/x")
	wantCode(t, err, registry.Conflict)

	if err := one.DeleteFeed(t.Context(), "later/toy"); err != nil {
		t.Fatal(err)
	}
	if err := image(t.Context(), two, "later/toy/x"); err != nil {
		t.Errorf("image where a feed was: %v", err)
	}
	if list, err := two.FeedsOf(t.Context(), "toy"); err != nil || len(list) != 2 {
		t.Errorf("feeds: %v, %v", list, err)
	}
}
