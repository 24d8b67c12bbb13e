package npm

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"hash"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// installFields are what an abbreviated packument has of a package.json.
func installFields(key string) bool {
	switch key {
	case "name", "version", "dependencies", "acceptDependencies", "optionalDependencies", "devDependencies",
		"bundleDependencies", "peerDependencies", "peerDependenciesMeta", "bin", "directories", "engines", "os",
		"cpu", "libc", "funding":
		return true
	}
	return false
}

// Fragment renders one version: whole, abbreviated, or its readme.
func (Format) Fragment(kind string, r *registry.Release, w *bytes.Buffer) error {
	if len(r.Files) != 1 {
		return artifacttypes.Invalid("an npm package has one tarball")
	}
	c, pkg, err := read(r.Files[0])
	if err != nil {
		return err
	}
	if kind == readme {
		if c.Readme != "" {
			object{{"readme", quote(c.Readme)}, {"readmeFilename", quote(c.ReadmeName)}}.write(w)
		}
		return nil
	}
	installs := script(pkg, "preinstall") != "" || script(pkg, "install") != "" || script(pkg, "postinstall") != ""
	if kind == abbreviated {
		pkg.drop(func(key string) bool { return !installFields(key) })
		if installs {
			pkg.set("hasInstallScript", json.RawMessage("true"))
		}
	} else {
		pkg.set("_id", quote(r.Package+"@"+r.Version))
	}
	if c.Shrinkwrap {
		pkg.set("_hasShrinkwrap", json.RawMessage("true"))
	}
	if why := r.State[stateDeprecated]; why != "" {
		pkg.set("deprecated", quote(why))
	}
	pkg.set("dist", dist(r, c))
	pkg.write(w)
	return nil
}

// dist is where a version's tarball is, and how to know it.
func dist(r *registry.Release, c *contents) json.RawMessage {
	f := r.Files[0]
	d := object{
		{"integrity", quote(integrity(f))},
		{"shasum", quote(f.Facts.Sums["sha1"])},
		{"tarball", based("/" + r.Package + "/-/" + tarballName(r.Package, r.Version))},
		{"fileCount", encode(c.Files)},
		{"unpackedSize", encode(c.Unpacked)},
	}
	if s := r.Signature; s != nil {
		d.set("signatures", encode([]map[string]string{{"keyid": s.KeyID, "sig": base64.StdEncoding.EncodeToString(s.Sig)}}))
	}
	if predicate := r.State[stateAttestations]; predicate != "" {
		d.set("attestations", object{
			{"url", based("/-/npm/v1/attestations/" + strings.Replace(r.Package, "/", "%2f", 1) + "@" + r.Version)},
			{"provenance", object{{"predicateType", quote(predicate)}}.raw()},
		}.raw())
	}
	return d.raw()
}

// based is a URL below the feed's.
func based(path string) json.RawMessage {
	return json.RawMessage(`"` + artifacttypes.Base + path + `"`)
}

// Compose renders the packument, whole or abbreviated.
func (Format) Compose(document string, p *registry.Package, from artifacttypes.Fragments, w io.Writer) error {
	const buffer = 64 << 10
	sum := sha256.New()
	out := packument{Writer: bufio.NewWriterSize(io.MultiWriter(w, sum), buffer), sum: sum, p: p, from: from}
	if document == abbreviated {
		out.abbreviated()
	} else {
		out.full()
	}
	if out.err != nil {
		return out.err
	}
	return out.Flush()
}

// packument writes a document. Its first error sticks.
type packument struct {
	*bufio.Writer
	sum      hash.Hash // of what was written
	p        *registry.Package
	from     artifacttypes.Fragments
	versions []string
	times    []time.Time
	err      error
}

func (d *packument) full() {
	d.start(object{{"_id", quote(d.p.Name)}, {"name", quote(d.p.Name)}})
	d.list(full)
	tags := distTags(d.p.Labels, d.versions)
	d.field("dist-tags", encode(tags))
	d.time()
	d.field("maintainers", maintainers(d.p))
	if users := d.p.State[stateUsers]; users != "" {
		d.field("users", json.RawMessage(users))
	}
	latest := d.one(full, tags["latest"])
	for _, key := range []string{"description", "author", "contributors", "homepage", "repository", "bugs", "keywords", "license"} {
		if v := latest.get(key); v != nil {
			d.field(key, v)
		}
	}
	for _, m := range d.one(readme, tags["latest"]) {
		d.field(m.Key, m.Value)
	}
	// The revision is the document's own, as CouchDB would write it: it changes
	// with what clients see, and not when a version is signed or copied.
	if err := d.Flush(); err != nil && d.err == nil {
		d.err = err
	}
	d.field(revisionKey, quote("1-"+hex.EncodeToString(d.sum.Sum(nil)[:16])))
	d.text("}")
}

// revisionKey is the last field of a packument.
const revisionKey = "_rev"

func (d *packument) abbreviated() {
	d.start(object{{"name", quote(d.p.Name)}})
	d.list(abbreviated)
	d.field("dist-tags", encode(distTags(d.p.Labels, d.versions)))
	d.field("modified", quote(d.modified()))
	d.time() // pnpm and Yarn judge by it how old a version is
	d.text("}")
}

func (d *packument) text(s string) {
	if _, err := d.WriteString(s); err != nil && d.err == nil {
		d.err = err
	}
}

func (d *packument) start(o object) {
	d.text(strings.TrimSuffix(string(o.raw()), "}"))
}

func (d *packument) field(key string, value json.RawMessage) {
	d.text("," + string(quote(key)) + ":")
	d.text(string(value))
}

// list writes the versions.
func (d *packument) list(kind string) {
	d.text(`,"versions":{`)
	for f, err := range d.from.All(kind) {
		if err != nil {
			if d.err == nil {
				d.err = err
			}
			return
		}
		if len(d.versions) > 0 {
			d.text(",")
		}
		d.versions = append(d.versions, f.Version)
		d.times = append(d.times, f.Published)
		d.text(string(quote(f.Version)) + ":")
		_, _ = d.Write(f.Body) // Flush tells
	}
	d.text("}")
}

// one is a version's fragment, nil for none.
func (d *packument) one(kind, version string) object {
	body, err := d.from.One(kind, version)
	if err != nil && d.err == nil {
		d.err = err
	}
	o, _ := fields(body)
	return o
}

func (d *packument) time() {
	times := object{{"created", quote(stamp(d.p.Created))}, {"modified", quote(d.modified())}}
	for i, v := range d.versions {
		times = append(times, member{v, quote(stamp(d.times[i]))})
	}
	d.field("time", times.raw())
}

// modified is when the package changed in a way that clients see.
func (d *packument) modified() string {
	last := d.p.State[stateModified]
	for _, t := range d.times {
		last = max(last, stamp(t))
	}
	return last
}

// stamp is a time as JavaScript writes it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// distTags are the labels of versions that are there. There is always a
// latest: without one it is the highest version, prereleases last.
func distTags(labels map[string]string, versions []string) map[string]string {
	there := make(map[string]struct{}, len(versions))
	for _, v := range versions {
		there[v] = struct{}{}
	}
	tags := make(map[string]string, len(labels)+1)
	for label, v := range labels {
		if _, ok := there[v]; ok && checkLabel(label) == nil {
			tags[label] = v
		}
	}
	if tags["latest"] == "" && len(versions) > 0 {
		tags["latest"] = highest(versions)
	}
	return tags
}

// maintainers are whom the package's state names.
func maintainers(p *registry.Package) json.RawMessage {
	if list := p.State[stateMaintainers]; list != "" {
		return json.RawMessage(list)
	}
	return encode([]map[string]string{{"name": artifacttypes.Anonymous, "email": ""}})
}

// sorted are the keys of m in order.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
