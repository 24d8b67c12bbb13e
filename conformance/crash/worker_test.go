package crash

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// worker is one client that publishes, moves and deletes at random. Names in
// shared repositories are told apart by the worker's number, so that each name
// has one owner; its own repository also gets content that others have.
type worker struct {
	id     int
	r      *rand.Rand
	c      *client
	l      *ledger
	repos  []string
	sizes  []int               // of blobs, in bytes
	bodies map[string][]byte   // blobs made so far, by digest
	made   map[string]manifest // by digest
	count  int
	open   *session // upload that lost its server

	// refuse is asked about each answer that is no success and was not asked
	// for. It returns what is wrong with it, nil to go on.
	refuse   func(*reply) error
	complain func(error)
}

// session is a chunked upload under way.
type session struct {
	repo, location string
	body           []byte
}

// team returns n workers that share two repositories.
func team(n int, sizes []int, complain func(error)) []*worker {
	list := make([]*worker, n)
	for i := range list {
		list[i] = &worker{
			id: i, r: dice(i + 1), l: newLedger(), sizes: sizes,
			repos:  []string{"shared/one", "shared/two", fmt.Sprintf("own/w%d", i)},
			bodies: map[string][]byte{}, made: map[string]manifest{},
			refuse:   func(r *reply) error { return fmt.Errorf("unexpected answer: %s", r) },
			complain: complain,
		}
	}
	return list
}

// work runs all workers against base until ctx ends or the server does. An
// operation that has begun is finished even when ctx ends.
func work(ctx context.Context, base string, list []*worker) {
	var all sync.WaitGroup
	for _, w := range list {
		all.Go(func() {
			w.c = newClient(base)
			defer w.c.close()
			if w.open != nil && !w.resumeUpload() {
				return
			}
			for ctx.Err() == nil && w.step() {
			}
		})
	}
	all.Wait()
}

// step does one random thing and reports whether an answer came.
func (w *worker) step() bool {
	repo := w.repos[w.r.IntN(len(w.repos))]
	w.count++
	switch p := w.r.IntN(100); {
	case p < 20:
		return w.pushWhole(repo)
	case p < 32:
		return w.pushChunks(repo)
	case p < 37:
		return w.mount(repo)
	case p < 65:
		return w.pushTagged(repo)
	case p < 72:
		return w.pushUntagged(repo)
	case p < 78:
		return w.pushIndex(repo)
	case p < 84:
		return w.compareAndSet(repo)
	case p < 90:
		return w.deleteTag(repo)
	case p < 95:
		return w.deleteManifest(repo)
	default:
		return w.deleteBlob(repo)
	}
}

// try sends a request whose success has the given effects. The first result
// tells whether it succeeded, the second whether an answer came.
func (w *worker) try(effects map[name]string, send func() (*reply, error)) (done, answered bool) {
	w.l.begin(effects)
	r, err := send()
	if r == nil {
		return false, false
	}
	done = r.status < 300
	w.l.end(done)
	if done && err != nil {
		w.complain(fmt.Errorf("the answer %d was cut: %w", r.status, err))
	}
	if !done {
		w.judge(r)
	}
	return done, true
}

func (w *worker) judge(r *reply) {
	if err := w.refuse(r); err != nil {
		w.complain(fmt.Errorf("worker %d: %w", w.id, err))
	}
}

// body makes a new blob; the worker's own repository may get common content.
func (w *worker) body(repo string) []byte {
	r := w.r
	if strings.HasPrefix(repo, "own/") && w.r.IntN(3) == 0 {
		r = rand.New(rand.NewPCG(1, w.r.Uint64N(40)))
	}
	b := randomBytes(r, w.sizes[r.IntN(len(w.sizes))])
	w.bodies[digestOf(b)] = b
	return b
}

func (w *worker) pushWhole(repo string) bool { return w.push(repo, w.body(repo)) }

func (w *worker) push(repo string, b []byte) bool {
	effects := map[name]string{{blobs, repo, digestOf(b)}: digestOf(b)}
	_, answered := w.try(effects, func() (*reply, error) { return w.c.putBlob(context.Background(), repo, b) })
	return answered
}

// pushChunks uploads in two to five bodies.
func (w *worker) pushChunks(repo string) bool {
	b := w.body(repo)
	r, _ := w.c.do(context.Background(), http.MethodPost, uploadPath(repo), nil, nil)
	if r == nil {
		return false
	}
	if r.status != http.StatusAccepted {
		w.judge(r)
		return true
	}
	s := &session{repo: repo, location: local(r.header.Get("Location")), body: b}
	at := 0
	for range 1 + w.r.IntN(4) {
		n := w.r.IntN(len(b)-at) + 1
		h := http.Header{"Content-Type": {"application/octet-stream"}, "Content-Range": {fmt.Sprintf("%d-%d", at, at+n-1)}}
		r, _ := w.c.do(context.Background(), http.MethodPatch, s.location, h, bytes.NewReader(b[at:at+n]))
		if r == nil {
			w.open = s
			return false
		}
		if r.status != http.StatusAccepted {
			w.judge(r)
			return true
		}
		s.location = local(r.header.Get("Location"))
		if at += n; at == len(b) {
			break
		}
	}
	return w.finish(s, b[at:])
}

// finish ends an upload with its last bytes.
func (w *worker) finish(s *session, rest []byte) bool {
	digest := digestOf(s.body)
	_, answered := w.try(map[name]string{{blobs, s.repo, digest}: digest}, func() (*reply, error) {
		return w.c.do(context.Background(), http.MethodPut, withDigest(s.location, digest), octets(), bytes.NewReader(rest))
	})
	return answered
}

// resumeUpload goes on with an upload that a kill interrupted. It may be gone;
// if it is not, its offset must be a true one.
func (w *worker) resumeUpload() bool {
	s := w.open
	w.open = nil
	r, _ := w.c.do(context.Background(), http.MethodGet, s.location, nil, nil)
	if r == nil {
		return false
	}
	if r.status == http.StatusNotFound {
		return true
	}
	var first, last int
	if _, err := fmt.Sscanf(r.header.Get("Range"), "%d-%d", &first, &last); err != nil || r.status != http.StatusNoContent || last >= len(s.body) {
		w.complain(fmt.Errorf("status of a resumed upload: %s, Range %q", r, r.header.Get("Range")))
		return true
	}
	if location := r.header.Get("Location"); location != "" {
		s.location = local(location)
	}
	if last == 0 { // "0-0" stands for no byte as well as for one
		r, _ := w.c.do(context.Background(), http.MethodDelete, s.location, nil, nil)
		return r != nil
	}
	return w.finish(s, s.body[last+1:])
}

// mount takes a blob over from a shared repository. What lies in the worker's
// own may be common content, of which a shared one must not have several owners.
func (w *worker) mount(repo string) bool {
	from := w.repos[w.r.IntN(2)]
	b, found := w.l.some(blobs, from, nil)
	if from == repo || !found {
		return w.pushWhole(repo)
	}
	query := "?mount=" + b.ref + "&from=" + url.QueryEscape(from)
	_, answered := w.try(map[name]string{{blobs, repo, b.ref}: b.ref}, func() (*reply, error) {
		r, err := w.c.do(context.Background(), http.MethodPost, uploadPath(repo)+query, nil, nil)
		if r != nil && r.status == http.StatusAccepted {
			r.status = http.StatusNotFound // the registry asks for an upload: not mounted
		}
		return r, err
	})
	return answered
}

// local cuts scheme and host off a Location: a restarted server has another port.
func local(location string) string {
	u, err := url.Parse(location)
	if err != nil {
		return location
	}
	return u.RequestURI()
}

// newImage makes a manifest of blobs that are there, one time in four with a
// subject that is there.
func (w *worker) newImage(repo string) (manifest, bool) {
	var of []descriptor
	for range 1 + w.r.IntN(3) {
		b, found := w.l.some(blobs, repo, func(n name) bool { return w.bodies[n.ref] != nil })
		if !found {
			return manifest{}, false
		}
		of = append(of, blobDescriptor(w.bodies[b.ref]))
	}
	of = slices.Compact(of)
	var subject *descriptor
	if m, found := w.l.some(manifests, repo, nil); found && w.r.IntN(4) == 0 {
		d := w.made[m.ref].descriptor()
		subject = &d
	}
	m := image(fmt.Sprintf("w%d.%d", w.id, w.count), subject, of...)
	w.made[m.digest] = m
	return m, true
}
