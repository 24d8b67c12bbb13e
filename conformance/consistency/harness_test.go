package consistency

import (
	"context"
	"sync"
	"testing"
	"time"
)

// TestHarnessSeesWrongAnswers tells keepers and readers of things that are not so: each must be reported.
func TestHarnessSeesWrongAnswers(t *testing.T) {
	t.Parallel()
	d := single(t, setup{})
	c := newClient(time.Minute)
	defer c.close()
	images := d.stock(t, c, 1)
	for _, tc := range []struct {
		name string
		lie  func(k *kept, l *load)
	}{
		{"another digest", func(k *kept, _ *load) { k.now = digestOf(nil) }},
		{"a deleted tag", func(k *kept, _ *load) { k.now = "" }},
	} {
		log := newLoad(never)
		k := newKeepers(1, c, d, log)[0]
		for k.tags[0].now == "" {
			k.change(t.Context(), k.tags[0])
		}
		k.read(t.Context(), k.tags[0], d.at(0))
		if len(log.faults) > 0 {
			t.Fatal(log.faults)
		}
		tc.lie(k.tags[0], log)
		k.read(t.Context(), k.tags[0], d.at(0))
		if len(log.faults) == 0 {
			t.Errorf("%s: not reported", tc.name)
		}
	}
	one := images[0]
	one.manifest = image("nobody", config)
	if one.whole(t.Context(), c, d.at(0)) == nil {
		t.Error("an image of another digest is not reported")
	}
}

// TestHarnessSeesEarlyCollection collects garbage sooner than pushers believe: they must find out.
func TestHarnessSeesEarlyCollection(t *testing.T) {
	t.Parallel()
	d := single(t, setup{env: []string{
		"PACKHOUSE_GC__LEASE=200ms", "PACKHOUSE_GC__EVERY=0s", "PACKHOUSE_TRASH__WINDOW=100ms",
	}})
	c := newClient(time.Minute)
	defer c.close()
	r := dice(0)
	f := &fire{lease: time.Hour, most: 2 * time.Second}
	for range 50 {
		f.hot = append(f.hot, noise(r, 17<<10))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	var all sync.WaitGroup
	for i := range 20 {
		p := &pusher{id: i, r: dice(i + 1), c: c, d: d, fire: f, alive: map[string]pushed{}}
		all.Go(func() { p.run(ctx) })
	}
	k := &collector{}
	all.Go(func() { k.run(ctx, t, c, d) })
	all.Wait()
	if len(f.faults) == 0 {
		t.Errorf("%d pushes, %d collections removed %d blobs too early, and nobody noticed", f.pushes.Load(), k.passes.Load(), k.blobs.Load())
	}
}
