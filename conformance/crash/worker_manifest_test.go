package crash

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
)

// tagsEach is how many tags a worker has in each repository.
const tagsEach = 12

func (w *worker) tag(repo string) name {
	return name{tags, repo, fmt.Sprintf("w%d-%d", w.id, w.r.IntN(tagsEach))}
}

// pushTagged makes or moves a tag.
func (w *worker) pushTagged(repo string) bool {
	m, ok := w.newImage(repo)
	if !ok {
		return w.pushWhole(repo)
	}
	return w.put(repo, m, w.tag(repo), nil)
}

func (w *worker) put(repo string, m manifest, tag name, header http.Header) bool {
	effects := map[name]string{{manifests, repo, m.digest}: m.digest, tag: m.digest}
	_, answered := w.try(effects, func() (*reply, error) {
		return w.c.putManifest(context.Background(), repo, tag.ref, m, header)
	})
	return answered
}

// pushUntagged puts a manifest by digest, half of the time with two tags at once.
func (w *worker) pushUntagged(repo string) bool {
	m, ok := w.newImage(repo)
	if !ok {
		return w.pushWhole(repo)
	}
	effects := map[name]string{{manifests, repo, m.digest}: m.digest}
	ref := m.digest
	if a, b := w.tag(repo), w.tag(repo); *peer == "" && a != b && w.r.IntN(2) == 0 {
		effects[a], effects[b] = m.digest, m.digest
		ref += "?" + url.Values{"tag": {a.ref, b.ref}}.Encode()
	}
	_, answered := w.try(effects, func() (*reply, error) {
		return w.c.putManifest(context.Background(), repo, ref, m, nil)
	})
	return answered
}

func (w *worker) pushIndex(repo string) bool {
	var children []descriptor
	for range 1 + w.r.IntN(3) {
		m, found := w.l.some(manifests, repo, nil)
		if !found {
			return w.pushTagged(repo)
		}
		children = append(children, w.made[m.ref].descriptor())
	}
	m := index(fmt.Sprintf("w%d.%d", w.id, w.count), slices.Compact(children)...)
	w.made[m.digest] = m
	return w.put(repo, m, w.tag(repo), nil)
}

// compareAndSet moves a tag on a condition that holds, or on one that does not
// and so must change nothing.
func (w *worker) compareAndSet(repo string) bool {
	m, ok := w.newImage(repo)
	if !ok || *peer != "" {
		return w.pushTagged(repo)
	}
	tag := w.tag(repo)
	current := w.l.state(tag)
	right := http.Header{"If-None-Match": {"*"}}
	wrong := http.Header{"If-Match": {`"` + m.digest + `"`}}
	if current != "" {
		right = http.Header{"If-Match": {`"` + current + `"`}}
	}
	if w.r.IntN(2) == 0 {
		return w.put(repo, m, tag, right)
	}
	r, _ := w.c.putManifest(context.Background(), repo, tag.ref, m, wrong)
	if r != nil && r.status != http.StatusPreconditionFailed {
		w.judge(r)
	}
	return r != nil
}

func (w *worker) deleteTag(repo string) bool {
	tag, found := w.l.some(tags, repo, nil)
	if !found {
		return w.pushTagged(repo)
	}
	_, answered := w.try(map[name]string{tag: ""}, func() (*reply, error) {
		return w.c.do(context.Background(), http.MethodDelete, manifestPath(repo, tag.ref), nil, nil)
	})
	return answered
}

// deleteManifest removes a manifest that no index lists, and its tags with it.
func (w *worker) deleteManifest(repo string) bool {
	listed := map[string]bool{}
	w.l.some(manifests, repo, func(n name) bool {
		for _, child := range w.made[n.ref].children {
			listed[child] = true
		}
		return false
	})
	m, found := w.l.some(manifests, repo, func(n name) bool { return !listed[n.ref] })
	if !found {
		return w.pushTagged(repo)
	}
	effects := map[name]string{m: ""}
	for _, tag := range w.l.pointing(repo, m.ref) {
		effects[tag] = ""
	}
	_, answered := w.try(effects, func() (*reply, error) {
		return w.c.do(context.Background(), http.MethodDelete, manifestPath(repo, m.ref), nil, nil)
	})
	return answered
}

// deleteBlob removes a blob that no manifest needs, or tries to remove one
// that is needed, which must be refused.
func (w *worker) deleteBlob(repo string) bool {
	needed := map[string]bool{}
	w.l.some(manifests, repo, func(n name) bool {
		for _, b := range w.made[n.ref].blobs {
			needed[b] = true
		}
		return false
	})
	forbidden := *peer == "" && w.r.IntN(8) == 0
	b, found := w.l.some(blobs, repo, func(n name) bool { return needed[n.ref] == forbidden })
	if !found {
		return w.pushWhole(repo)
	}
	remove := func() (*reply, error) {
		return w.c.do(context.Background(), http.MethodDelete, blobPath(repo, b.ref), nil, nil)
	}
	if !forbidden {
		_, answered := w.try(map[name]string{b: ""}, remove)
		return answered
	}
	r, _ := remove()
	if r != nil && r.status != http.StatusMethodNotAllowed {
		w.judge(r)
	}
	return r != nil
}
