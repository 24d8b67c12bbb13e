package consistency

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"
)

// stock pushes images that pullers read, and what the keepers' manifests refer to.
func (d *deployment) stock(t *testing.T, c *client, n int) []pushed {
	t.Helper()
	must := func(a *answer, err error) {
		t.Helper()
		if err != nil || a.status != http.StatusCreated {
			t.Fatalf("push: %v %v", a, err)
		}
	}
	for j := range 2 {
		must(c.putBlob(t.Context(), d.at(j).url, fmt.Sprint("kept/r", j), config))
	}
	r := dice(-2)
	var list []pushed
	for i := range n {
		one := pushed{repo: "stock/app", tag: fmt.Sprint("v", i), blobs: map[string]bool{}}
		layer, small := noise(r, 17<<10+r.IntN(64<<10)), fmt.Appendf(nil, `{"n":%d}`, i)
		for _, content := range [][]byte{layer, small} {
			must(c.putBlob(t.Context(), d.at(i).url, one.repo, content))
			one.blobs[digestOf(content)] = true
		}
		one.manifest = image(fmt.Sprint("stock ", i), small, layer)
		must(c.putManifest(t.Context(), d.at(i+1).url, one.repo, one.tag, one.manifest, nil))
		list = append(list, one)
	}
	return list
}

// underLoad runs keepers and pullers while f does what it does, then reads back all that was acknowledged.
func (d *deployment) underLoad(t *testing.T, c *client, log *load, f func(ctx context.Context)) []*keeper {
	t.Helper()
	images := d.stock(t, c, 20)
	keepers := newKeepers(8, c, d, log)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var all sync.WaitGroup
	for _, k := range keepers {
		all.Go(func() { k.run(ctx) })
	}
	for i := range 4 {
		p := &puller{r: dice(100 + i), c: c, d: d, log: log, images: images}
		all.Go(func() { p.run(ctx) })
	}
	<-time.After(span(time.Second, 5*time.Second)) // what is usual
	f(ctx)
	cancel()
	all.Wait()
	log.begin("read back")
	for _, k := range keepers {
		k.verify(t.Context())
	}
	for _, one := range images {
		for _, via := range d.replicas {
			if err := one.whole(t.Context(), c, via); err != nil {
				t.Error(err)
			}
		}
	}
	for _, err := range log.faults {
		t.Error(err)
	}
	for _, p := range log.phases {
		t.Log(p)
	}
	return keepers
}

// never judges answers where nothing that breaks is an excuse.
func never(a *answer) error { return fmt.Errorf("unexpected answer: %s", a) }
