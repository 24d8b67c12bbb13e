package distspec

import (
	"math"
	"net/url"
	"strconv"
	"strings"

	"github.com/packhouse/packhouse/registry"
)

// maxTags is how many "tag" parameters one manifest PUT may have; the
// specification asks for at least 10.
const maxTags = 100

// setQuery reads the parameters that q.Kind has. Others are ignored, as
// clients add their own (ns).
func (q *Request) setQuery(raw string) error {
	if raw == "" {
		return q.require()
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return badQuery("the query of the URL is not well-formed: percent-encode its values")
	}
	p := parameters{values: values}
	switch q.Kind {
	case ManifestPut:
		q.Tags = p.tags()
	case UploadStart:
		q.Digest = p.digest("digest")
		q.Mount, q.From = p.mount()
		q.Algorithm, err = registry.ParseAlgorithm(p.single("digest-algorithm"))
		p.fail(err)
	case UploadFinish:
		q.Digest = p.digest("digest")
	case Tags:
		q.N = p.count()
		q.Last = last(&p, registry.ParseTag)
	case Catalog:
		q.N = p.count()
		q.Last = last(&p, registry.ParseRepo)
	case Referrers:
		q.N = p.count()
		q.Last = last(&p, registry.ParseDigest)
		// A plus sign that the client did not encode arrives as a space,
		// which no media type has.
		q.ArtifactType = strings.ReplaceAll(p.single("artifactType"), " ", "+")
	default: // no parameter means anything
	}
	if p.err != nil {
		return p.err
	}
	return q.require()
}

// require checks and defaults what was not asked for.
func (q *Request) require() error {
	switch {
	case q.Kind == UploadFinish && q.Digest == "":
		return registry.E("distspec.Parse", registry.DigestInvalid, nil, "the upload cannot be closed without its digest: add ?digest=")
	case q.Kind == UploadStart && q.Algorithm == "":
		q.Algorithm, _ = registry.ParseAlgorithm("")
	}
	return nil
}

func badQuery(format string, a ...any) error {
	return registry.E("distspec.Parse", queryInvalid, nil, format, a...)
}

// parameters reads a query. Its first error sticks.
type parameters struct {
	values url.Values
	err    error
}

func (p *parameters) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

// single returns a parameter that makes no sense twice.
func (p *parameters) single(name string) string {
	switch list := p.values[name]; len(list) {
	case 0:
		return ""
	case 1:
		return list[0]
	}
	p.fail(badQuery("parameter %q is given more than once", name))
	return ""
}

func (p *parameters) digest(name string) registry.Digest {
	s := p.single(name)
	if s == "" {
		return ""
	}
	d, err := registry.ParseDigest(s)
	p.fail(err)
	return d
}

// mount returns the blob to mount and where from. From a name that cannot
// exist nothing can be mounted: the client is to go on with an upload.
func (p *parameters) mount() (registry.Digest, registry.Repo) {
	d, from := p.digest("mount"), p.single("from")
	if from == "" {
		return d, ""
	}
	r, err := parseRepo(from)
	if err != nil {
		return "", ""
	}
	return d, r
}

func (p *parameters) tags() []registry.Tag {
	list := p.values["tag"]
	if len(list) > maxTags {
		p.fail(registry.E("distspec.Parse", queryTooLong, nil, "%d tags in one request, the limit is %d: push the rest in another", len(list), maxTags))
		return nil
	}
	tags := make([]registry.Tag, 0, len(list))
	for _, s := range list {
		t, err := registry.ParseTag(s)
		p.fail(err)
		tags = append(tags, t)
	}
	return tags
}

// count returns the parameter n, -1 if absent.
func (p *parameters) count() int {
	s := p.single("n")
	if s == "" {
		return -1
	}
	if strings.Trim(s, "0123456789") != "" {
		p.fail(badQuery("n is %q: want the number of entries to list", shorten(s)))
		return -1
	}
	n, err := strconv.Atoi(s)
	if err != nil { // more digits than fit: more than there can be
		return math.MaxInt
	}
	return n
}

func last[T ~string](p *parameters, parse func(string) (T, error)) string {
	s := p.single("last")
	if s == "" {
		return ""
	}
	_, err := parse(s)
	p.fail(err)
	return s
}
