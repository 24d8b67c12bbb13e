package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/packhouse/packhouse/conformance/packhouse"
)

const (
	quotaBytes     = 6 << 20
	quotaManifests = 180
)

// TestQuota lets a hundred clients push to a namespace at its limit, delete,
// and collect, while the server is killed again and again. What the namespace
// holds, asked for all the time, is never less than nothing nor more than the
// limit; every refusal says so; and once all is quiet it is to the byte what a
// walk through the namespace finds.
//
// Seen red: with the limits' triggers of the schema disabled (over the limit), with
// the trigger on deleted memberships disabled (drift), and with a collection that
// does not look for manifests which a killed one left without a period (drift, in
// every other run).
func TestQuota(t *testing.T) {
	if *peer != "" {
		t.Skip("distribution's registry has no quotas")
	}
	rounds, r := size(8, 60), dice(700)
	n := &quotaNode{t: t, data: filepath.Join(t.TempDir(), "data")}
	n.start()
	n.run("namespace", "create", "acme")
	n.run("namespace", "quota", "acme", "--bytes", strconv.Itoa(quotaBytes), "--manifests", strconv.Itoa(quotaManifests))
	crew := make([]*pusher, 100)
	for i := range crew {
		crew[i] = &pusher{id: i, r: dice(701 + i), patient: len(n.server.Replicas) > 0}
	}
	problems := &problems{t: t}
	var highest usage
	polls := 0
	for range rounds {
		ctx, cancel := context.WithCancel(t.Context())
		c := newClient(n.url)
		var busy sync.WaitGroup
		for _, p := range crew {
			busy.Go(func() { p.work(ctx, c, problems.add) })
		}
		collecting, enough := context.WithCancel(t.Context())
		var collector sync.WaitGroup
		collector.Go(func() { n.collect(collecting) })
		killed := time.After(between(r, 300*time.Millisecond, 2500*time.Millisecond))
		for waiting := true; waiting; {
			u, err := n.usage(ctx)
			if err != nil {
				t.Fatal(err)
			}
			polls++
			highest = usage{max(highest.Bytes, u.Bytes), max(highest.Manifests, u.Manifests)}
			n.within(u)
			select {
			case <-killed:
				waiting = false
			case <-time.After(5 * time.Millisecond):
			}
		}
		enough()
		if n.server != nil && len(n.server.Replicas) > 0 {
			// For as long as a killed replica has the lease nobody collects, and the namespace stays full of what was not finished.
			collector.Wait()
		}
		if err := n.kill(); err != nil {
			t.Fatal(err)
		}
		cancel()
		busy.Wait()
		collector.Wait()
		c.close()
		n.start()
		u, err := n.usage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n.within(u)
	}
	pushed, refused, deleted := 0, 0, 0
	for _, p := range crew {
		pushed, refused, deleted = pushed+p.pushed, refused+p.refused, deleted+p.deleted
	}
	if pushed == 0 || refused == 0 || deleted == 0 || highest.Bytes < quotaBytes*9/10 && highest.Manifests < quotaManifests {
		t.Errorf("%d pushed, %d refused, %d deleted, at most %+v at once: the limit was not reached", pushed, refused, deleted, highest)
	}
	n.settle()
	n.run("fsck")
	t.Logf("%d kills: %d manifests pushed, %d pushes refused, %d manifests deleted; %d looks, never more than %d of %d bytes and %d of %d manifests",
		rounds, pushed, refused, deleted, polls, highest.Bytes, quotaBytes, highest.Manifests, quotaManifests)
}

// usage is what a namespace holds.
type usage struct{ Bytes, Manifests int64 }

// quotaNode is a server with short waits, its administration socket and its command.
type quotaNode struct {
	*node
	t     *testing.T
	data  string
	admin *http.Client
}

func (n *quotaNode) start() {
	n.t.Helper()
	n.node = mustStart(n.t, n.data, packhouse.Options{Env: []string{"PACKHOUSE_GC__LEASE=1s", "PACKHOUSE_TRASH__WINDOW=100ms"}})
	n.admin = &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(n.data, "admin.sock"))
		},
	}}
	n.t.Cleanup(n.admin.CloseIdleConnections)
}

// run runs a command of the binary on the data directory and returns its output.
func (n *quotaNode) run(args ...string) string {
	n.t.Helper()
	binary, err := packhouse.Binary(n.t.Context())
	if err != nil {
		n.t.Fatal(err)
	}
	out, err := exec.CommandContext(n.t.Context(), binary, append(args, "--data", n.data)...).CombinedOutput()
	if err != nil {
		n.t.Fatalf("packhouse %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// errBusy is the answer while another replica collects, or one that was killed while it did still has the lease, and to
// patient pushers.
var errBusy = errors.New("busy: to be tried again")

// call makes one request of the administration API.
func (n *quotaNode) call(ctx context.Context, method, path string, result any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://packhouse/-/api/v1/"+path, http.NoBody)
	if err != nil {
		return err
	}
	res, err := n.admin.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusServiceUnavailable {
		return errBusy
	}
	if res.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s %s answered %s", method, path, res.Status)
	}
	return json.NewDecoder(res.Body).Decode(result)
}

func (n *quotaNode) usage(ctx context.Context) (usage, error) {
	var namespace struct{ Usage usage }
	err := n.call(ctx, http.MethodGet, "namespaces/acme", &namespace)
	return namespace.Usage, err
}

func (n *quotaNode) within(u usage) {
	n.t.Helper()
	if u.Bytes < 0 || u.Bytes > quotaBytes || u.Manifests < 0 || u.Manifests > quotaManifests {
		n.t.Fatalf("the namespace holds %+v, at most %d bytes and %d manifests may be (seed %d)", u, quotaBytes, quotaManifests, *seed)
	}
}

// collect empties the trash and collects until ctx ends, but for the last call, which it waits for; the server may die.
func (n *quotaNode) collect(ctx context.Context) {
	for ctx.Err() == nil {
		var removed map[string]any
		_ = n.call(context.WithoutCancel(ctx), http.MethodPost, "gc", &removed)
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// settle waits until the trash is empty and all garbage collected, and then
// wants the usage to be what is there.
func (n *quotaNode) settle() {
	n.t.Helper()
	c := newClient(n.url)
	defer c.close()
	want, err := walked(n.t.Context(), c)
	if err != nil {
		n.t.Fatal(err)
	}
	var got usage
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); <-time.After(200 * time.Millisecond) {
		var removed map[string]any
		if err := n.call(n.t.Context(), http.MethodPost, "gc", &removed); err != nil && !errors.Is(err, errBusy) {
			n.t.Fatal(err)
		}
		if got, err = n.usage(n.t.Context()); err != nil {
			n.t.Fatal(err)
		}
		if got == want {
			break
		}
	}
	if got != want {
		n.t.Errorf("the namespace counts %+v, and %+v is there (seed %d)", got, want, *seed)
	}
}

// walked sums what the tags of namespace acme show, each thing once.
func walked(ctx context.Context, c *client) (usage, error) {
	var total usage
	seen := map[string]bool{}
	err := c.list(ctx, "/v2/_catalog", func(page []byte) error {
		var catalog struct{ Repositories []string }
		if err := json.Unmarshal(page, &catalog); err != nil {
			return err
		}
		for _, repo := range catalog.Repositories {
			err := c.list(ctx, "/v2/"+repo+"/tags/list", func(page []byte) error {
				var list struct{ Tags []string }
				if err := json.Unmarshal(page, &list); err != nil {
					return err
				}
				for _, tag := range list.Tags {
					m, err := c.manifest(ctx, repo, tag)
					if err != nil {
						return err
					}
					if m.status != http.StatusOK {
						return fmt.Errorf("tag %s of %s answered %d", tag, repo, m.status)
					}
					if !seen[m.digest] {
						seen[m.digest] = true
						total = usage{total.Bytes + int64(len(m.body)), total.Manifests + 1}
					}
					var d document
					if err := json.Unmarshal(m.body, &d); err != nil {
						return err
					}
					for _, blob := range append(d.Layers, *d.Config) {
						if !seen[blob.Digest] {
							seen[blob.Digest] = true
							total.Bytes += int64(blob.Size)
						}
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return total, err
}

// pusher is a client that pushes until the namespace is full, and then makes room.
type pusher struct {
	id, count int
	r         *rand.Rand
	held      []held // what it pushed and did not delete
	patient   bool   // takes 503 as "again": with a hundred before it, the database of replicas may not answer in time

	pushed, refused, deleted int
}

type held struct{ repo, digest string }

func (p *pusher) work(ctx context.Context, c *client, complain func(error)) {
	for ctx.Err() == nil {
		full, err := p.push(ctx, c)
		if err == nil && (full || p.r.IntN(4) == 0) {
			err = p.remove(ctx, c)
		}
		if errors.Is(err, errUnexpected) {
			complain(fmt.Errorf("pusher %d: %w", p.id, err))
			return
		}
		if full || err != nil { // until there is room, or a server
			select {
			case <-ctx.Done():
			case <-time.After(between(p.r, 1*time.Millisecond, 60*time.Millisecond)):
			}
		}
	}
}

var errUnexpected = errors.New("unexpected answer")

// push makes an image of a config that all have, a layer of its own and one
// that others may have, too. full tells that the namespace had no room.
func (p *pusher) push(ctx context.Context, c *client) (full bool, err error) {
	p.count++
	repo := fmt.Sprintf("acme/r%02d", p.r.IntN(20))
	layers := [][]byte{
		config,
		randomBytes(p.r, 1<<10+p.r.IntN(39<<10)),
		randomBytes(rand.New(rand.NewPCG(7, p.r.Uint64N(30))), 16<<10),
	}
	list := make([]descriptor, len(layers))
	for i, body := range layers {
		list[i] = blobDescriptor(body)
		r, err := c.putBlob(ctx, repo, body)
		if err != nil {
			return false, err
		}
		if full, err := p.admitted(r); err != nil || full {
			return full, err
		}
	}
	m := image(fmt.Sprintf("%d of %d", p.count, p.id), nil, list...)
	// It may be there although the answer did not come.
	p.held = append(p.held, held{repo, m.digest})
	r, err := c.putManifest(ctx, repo, fmt.Sprintf("p%d-%d", p.id, p.count), m, nil)
	if err != nil {
		return false, err
	}
	if r.status == http.StatusCreated {
		p.pushed++
		return false, nil
	}
	p.held = p.held[:len(p.held)-1]
	if code, _ := r.ociError(); code == "MANIFEST_BLOB_UNKNOWN" {
		return false, nil // it took so long that the collector came first
	}
	return p.admitted(r)
}

// admitted tells whether r is a refusal for want of room, or an error of the server.
func (p *pusher) admitted(r *reply) (full bool, err error) {
	if r.status == http.StatusCreated {
		return false, nil
	}
	if p.patient && r.status == http.StatusServiceUnavailable && r.header.Get("Retry-After") != "" {
		return false, errBusy
	}
	code, err := r.ociError()
	if err != nil || r.status != http.StatusForbidden || code != "DENIED" ||
		!strings.Contains(string(r.body), "QUOTA_EXCEEDED") || !strings.Contains(string(r.body), "namespace acme may hold ") {
		return false, fmt.Errorf("%w: %s", errUnexpected, r)
	}
	p.refused++
	return true, nil
}

// remove deletes one of the images that the pusher has.
func (p *pusher) remove(ctx context.Context, c *client) error {
	if len(p.held) == 0 {
		return nil
	}
	i := p.r.IntN(len(p.held))
	h := p.held[i]
	r, err := c.do(ctx, http.MethodDelete, manifestPath(h.repo, h.digest), nil, nil)
	if err != nil {
		return err
	}
	if p.patient && r.status == http.StatusServiceUnavailable {
		return errBusy
	}
	switch r.status {
	case http.StatusAccepted:
		p.deleted++
	case http.StatusNotFound: // its push, or an earlier deletion, had no answer
	default:
		return fmt.Errorf("%w: %s", errUnexpected, r)
	}
	p.held = append(p.held[:i], p.held[i+1:]...)
	return nil
}
