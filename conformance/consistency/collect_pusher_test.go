package consistency

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// pusher is one client that builds images out of new blobs, of blobs that it finds there and of blobs that it mounts, takes
// its time over it, and moves and deletes its tags.
type pusher struct {
	id    int
	r     *rand.Rand
	c     *client
	d     *deployment
	fire  *fire
	made  int
	alive map[string]pushed // by repository:tag, what was acknowledged
}

// pushed is an image that the registry took.
type pushed struct {
	repo, tag string
	manifest
	blobs map[string]bool
}

// fire is what all pushers share.
type fire struct {
	lease time.Duration
	most  time.Duration // that a push takes
	hot   [][]byte      // blobs that many images hold, now and then

	mu     sync.Mutex
	faults []error

	pushes, skipped, mounted, uploaded, late, deleted, bytes atomic.Int64
}

func (f *fire) fault(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.faults) < 20 {
		f.faults = append(f.faults, err)
	}
}

const fireRepos = 10

func (p *pusher) repo() string      { return fmt.Sprint("fire/r", p.r.IntN(fireRepos)) }
func (p *pusher) replica() *replica { return p.d.at(p.r.IntN(len(p.d.replicas))) }

// run pushes until ctx ends; what has begun is finished.
func (p *pusher) run(ctx context.Context) {
	for ctx.Err() == nil {
		var err error
		// Few images live at a time, so that what they share is garbage in between.
		if p.r.IntN(4) < len(p.alive) {
			err = p.remove(context.WithoutCancel(ctx))
		} else {
			err = p.push(context.WithoutCancel(ctx))
		}
		if err != nil {
			p.fire.fault(fmt.Errorf("pusher %d: %w", p.id, err))
			return
		}
	}
}

// push builds an image. Every blob that the registry said was there must be there when the manifest comes, if that is
// within the time that pushes may take.
func (p *pusher) push(ctx context.Context) error {
	p.made++
	repo, tag := p.repo(), fmt.Sprintf("p%d-%d", p.id, p.r.IntN(3))
	config := fmt.Appendf(nil, `{"by":"%d.%d.%d"}`, *seed, p.id, p.made)
	layers := [][]byte{p.fire.hot[p.r.IntN(len(p.fire.hot))], p.fire.hot[p.r.IntN(len(p.fire.hot))]}
	if p.r.IntN(2) == 0 {
		layers = append(layers, noise(p.r, 17<<10+p.r.IntN(32<<10)))
	}
	begin := time.Now()
	pause := between(p.r, 0, p.fire.most) / time.Duration(len(layers)+1)
	for _, content := range append(layers, config) {
		if err := p.provide(ctx, repo, content); err != nil {
			return err
		}
		<-time.After(pause)
	}
	m := image(fmt.Sprintf("%d.%d.%d", *seed, p.id, p.made), config, layers...)
	key := repo + ":" + tag
	a, err := p.c.putManifest(ctx, p.replica().url, repo, tag, m, nil)
	took := time.Since(begin)
	switch {
	case err != nil:
		return err
	case a.status == http.StatusCreated:
	case took > p.fire.lease*3/4:
		p.fire.late.Add(1) // this machine was too slow for the promise to hold
		return nil
	default:
		return fmt.Errorf("a push of %s refused after %s: %s", key, took.Round(time.Millisecond), a)
	}
	p.fire.pushes.Add(1)
	blobs := map[string]bool{digestOf(config): true}
	for _, l := range layers {
		blobs[digestOf(l)] = true
	}
	one := pushed{repo, tag, m, blobs}
	p.alive[key] = one
	if p.r.IntN(4) == 0 {
		return one.whole(ctx, p.c, p.replica())
	}
	return nil
}

// provide makes sure that a blob is in a repository, as clients do: it asks for it, mounts it, or uploads it.
func (p *pusher) provide(ctx context.Context, repo string, content []byte) error {
	digest := digestOf(content)
	a, err := p.c.do(ctx, http.MethodHead, blobURL(p.replica().url, repo, digest), nil, nil)
	switch {
	case err != nil:
		return err
	case a.status == http.StatusOK:
		p.fire.skipped.Add(1)
		return nil
	case a.status != http.StatusNotFound:
		return fmt.Errorf("unexpected answer: %s", a)
	}
	if p.r.IntN(2) == 0 {
		from := p.repo()
		a, err := p.c.do(ctx, http.MethodPost, p.replica().url+"/v2/"+repo+"/blobs/uploads/?mount="+digest+"&from="+from, nil, nil)
		switch {
		case err != nil:
			return err
		case a.status == http.StatusCreated:
			p.fire.mounted.Add(1)
			return nil
		case a.status != http.StatusAccepted:
			return fmt.Errorf("unexpected answer: %s", a)
		}
	}
	if a, err = p.c.putBlob(ctx, p.replica().url, repo, content); err != nil {
		return err
	}
	if a.status != http.StatusCreated {
		return fmt.Errorf("unexpected answer: %s", a)
	}
	p.fire.uploaded.Add(1)
	p.fire.bytes.Add(int64(len(content)))
	return nil
}

// remove deletes an image, as a tag or with its manifest.
func (p *pusher) remove(ctx context.Context) error {
	key := slices.Sorted(maps.Keys(p.alive))[p.r.IntN(len(p.alive))]
	one := p.alive[key]
	ref := one.tag
	if p.r.IntN(2) == 0 {
		ref = one.digest
	}
	a, err := p.c.do(ctx, http.MethodDelete, manifestURL(p.replica().url, one.repo, ref), nil, nil)
	if err != nil {
		return err
	}
	if a.status != http.StatusAccepted {
		return fmt.Errorf("unexpected answer: %s", a)
	}
	p.fire.deleted.Add(1)
	delete(p.alive, key)
	return nil
}

// whole reads an image by its tag, and all it refers to.
func (i pushed) whole(ctx context.Context, c *client, via *replica) error {
	a, err := c.do(ctx, http.MethodGet, manifestURL(via.url, i.repo, i.tag), accept(), nil)
	switch {
	case err != nil:
		return err
	case a.status != http.StatusOK:
		return fmt.Errorf("an image is lost: %s", a)
	case digestOf(a.body) != i.digest:
		return fmt.Errorf("%s:%s is %s, %s was pushed last", i.repo, i.tag, digestOf(a.body), i.digest)
	}
	list, err := parts(a.body)
	if err != nil {
		return err
	}
	for _, digest := range list {
		b, err := c.do(ctx, http.MethodGet, blobURL(via.url, i.repo, digest), nil, nil)
		switch {
		case err != nil:
			return err
		case b.status != http.StatusOK:
			return fmt.Errorf("%s:%s dangles: %s", i.repo, i.tag, b)
		case digestOf(b.body) != digest:
			return errors.New("wrong bytes: " + b.to)
		}
	}
	return nil
}

// noise are n bytes that are the same for the same r.
func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, 0, n+8)
	for len(b) < n {
		b = binary.LittleEndian.AppendUint64(b, r.Uint64())
	}
	return b[:n]
}
