package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// readers is how many requests a read-back has in flight.
const readers = 8

// audit compares a registry with journals.
type audit struct {
	c *client

	mu     sync.Mutex
	faults []string
	heads  map[name]bool // blobs asked for by HEAD in this audit
	read   int           // names read back
}

func newAudit(base string) *audit { return &audit{c: newClient(base), heads: map[name]bool{}} }

func (a *audit) fault(class string, n name, format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.faults = append(a.faults, fmt.Sprintf("%s: %s %s of %s: ", class, n.kind, n.ref, n.repo)+fmt.Sprintf(format, args...))
}

// journals reads back what changed in list since the last read-back, or
// everything, and then walks the registry. It returns for each journal whether
// its operation in flight was done.
func (a *audit) journals(ctx context.Context, list []snapshot, everything bool) []bool {
	defer a.c.close()
	done := make([]bool, len(list))
	expected := map[name]string{}
	for i, s := range list {
		done[i] = a.journal(ctx, s, everything)
		for n, state := range s.known {
			expected[n] = state
		}
		if done[i] {
			for n, state := range s.flying {
				expected[n] = state
			}
		}
	}
	if err := a.walk(ctx, expected); err != nil {
		a.fault("error", name{}, "walk: %v", err)
	}
	return done
}

// journal reads back one journal.
func (a *audit) journal(ctx context.Context, s snapshot, everything bool) bool {
	var names []name
	for n := range s.known {
		if _, flying := s.flying[n]; !flying && (everything || s.changed[n]) {
			names = append(names, n)
		}
	}
	known := a.observe(ctx, names)
	for n, got := range known {
		a.compare(n, got, s.known[n])
	}
	names = names[:0]
	for n := range s.flying {
		names = append(names, n)
	}
	var before, after []name
	for n, got := range a.observe(ctx, names) {
		switch was, would := s.known[n], s.flying[n]; {
		case was == would:
			a.compare(n, got, was)
		case got == was:
			before = append(before, n)
		case got == would:
			after = append(after, n)
		default:
			a.compare(n, got, was)
		}
	}
	if len(before) > 0 && len(after) > 0 {
		a.fault("torn", after[0], "it changed, but in the same operation %v did not", before)
	}
	return len(after) > 0
}

func (a *audit) compare(n name, got, want string) {
	switch {
	case got == want || got == broken:
	case got == "":
		a.fault("lost", n, "absent, want %s", want)
	case want == "":
		a.fault("revived", n, "is %s, want absent", got)
	default:
		a.fault("altered", n, "is %s, want %s", got, want)
	}
}

// broken is the state of a name whose fault has been noted already.
const broken = "broken"

// observe reads names and returns their states.
func (a *audit) observe(ctx context.Context, names []name) map[name]string {
	states := make([]string, len(names))
	next := make(chan int)
	var all sync.WaitGroup
	for range readers {
		all.Go(func() {
			for i := range next {
				states[i] = a.state(ctx, names[i])
			}
		})
	}
	for i := range names {
		next <- i
	}
	close(next)
	all.Wait()
	found := make(map[name]string, len(names))
	for i, n := range names {
		found[n] = states[i]
	}
	a.read += len(names)
	return found
}

// state reads one name and checks that what comes is what its digest says.
func (a *audit) state(ctx context.Context, n name) string {
	read := a.c.manifest
	if n.kind == blobs {
		read = a.c.blob
	}
	got, err := read(ctx, n.repo, n.ref)
	switch {
	case err != nil:
		a.fault("error", n, "%v", err)
		return broken
	case got.status == http.StatusNotFound:
		return ""
	case got.status != http.StatusOK:
		a.fault("error", n, "status %d", got.status)
		return broken
	}
	if header := got.header.Get("Docker-Content-Digest"); header != got.digest {
		a.fault("altered", n, "Docker-Content-Digest %q, bytes %s", header, got.digest)
		return broken
	}
	if n.kind != tags && got.digest != n.ref {
		a.fault("altered", n, "bytes %s", got.digest)
		return broken
	}
	if n.kind != blobs {
		a.references(ctx, n, got)
	}
	return got.digest
}

// references checks that what a visible manifest needs is there, and that its
// subject lists it.
func (a *audit) references(ctx context.Context, n name, got content) {
	m, err := decode(got.body)
	if err != nil || m.mediaType != got.header.Get("Content-Type") {
		a.fault("altered", n, "served as %q: %v", got.header.Get("Content-Type"), err)
		return
	}
	for _, digest := range m.blobs {
		a.head(ctx, n, name{blobs, n.repo, digest}, blobPath(n.repo, digest))
	}
	for _, digest := range m.children {
		a.head(ctx, n, name{manifests, n.repo, digest}, manifestPath(n.repo, digest))
	}
	if m.subject == "" || *peer != "" {
		return
	}
	listed := false
	err = a.c.list(ctx, "/v2/"+n.repo+"/referrers/"+m.subject, func(page []byte) error {
		var d document
		err := json.Unmarshal(page, &d)
		listed = listed || slices.ContainsFunc(d.Manifests, func(d descriptor) bool { return d.Digest == got.digest })
		return err
	})
	if err != nil || !listed {
		a.fault("lost", n, "its subject %s does not list it: %v", m.subject, err)
	}
}

func (a *audit) head(ctx context.Context, by, n name, path string) {
	a.mu.Lock()
	asked := a.heads[n]
	a.heads[n] = true
	a.mu.Unlock()
	if asked {
		return
	}
	r, err := a.c.do(ctx, http.MethodHead, path, accept(), nil)
	if err != nil || r.status != http.StatusOK {
		a.fault("dangling", by, "needs the %s %s: %v %v", n.kind, n.ref, r, err)
	}
}

// walk follows the lists from the catalog on, as a stranger would: exactly the
// expected tags are listed, and each leads to what it needs.
func (a *audit) walk(ctx context.Context, expected map[name]string) error {
	var repos []string
	err := a.c.list(ctx, "/v2/_catalog", func(page []byte) error {
		var body struct{ Repositories []string }
		err := json.Unmarshal(page, &body)
		repos = append(repos, body.Repositories...)
		return err
	})
	if err != nil {
		return err
	}
	listed := map[name]bool{}
	for _, repo := range repos {
		err := a.c.list(ctx, "/v2/"+repo+"/tags/list", func(page []byte) error {
			var body struct{ Tags []string }
			err := json.Unmarshal(page, &body)
			for _, t := range body.Tags {
				listed[name{tags, repo, t}] = true
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	var names []name
	for n := range listed {
		names = append(names, n)
	}
	a.observe(ctx, names)
	for n, state := range expected {
		if n.kind == tags && (state != "") != listed[n] {
			a.fault("altered", n, "listed: %t, want %t", listed[n], state != "")
		}
	}
	for n := range listed {
		if _, mine := expected[n]; !mine {
			a.fault("revived", n, "listed, but nobody pushed it (catalog %s)", url.QueryEscape(strings.Join(repos, " ")))
		}
	}
	return nil
}

// report returns the faults as one text, "" for none.
func (a *audit) report() string {
	const most = 20
	slices.Sort(a.faults)
	text := strings.Join(a.faults[:min(most, len(a.faults))], "\n")
	if len(a.faults) > most {
		text += fmt.Sprintf("\n… and %d more", len(a.faults)-most)
	}
	return text
}
