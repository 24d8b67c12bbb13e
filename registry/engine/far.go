package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/packhouse/packhouse/registry"
	rediscache "github.com/packhouse/packhouse/storage/cache"
)

// far is a cache that replicas share. Its keys name the database's history and
// the stripe's number beside the entry's own, so an entry is right for ever
// under its key: whatever comes of the store costs speed alone.
type far struct{ store *rediscache.Store }

// codec makes entries fit for other processes.
type codec struct {
	build string // of the binaries that read and write it; "" for all
	// encode returns nil for what is not worth it.
	encode func(*entry) []byte
	decode func(name string, body []byte) (*entry, error)
}

// codecs are those of entries that are always of one type.
var codecs = [derived + 1]*codec{
	byTag:        {encode: encodeManifest, decode: func(_ string, b []byte) (*entry, error) { return decodeManifest("", b) }},
	byDigest:     {encode: encodeManifest, decode: decodeManifest},
	blobByDigest: {encode: encodeBlob, decode: decodeBlob},
	tagList:      {encode: encodeTags, decode: decodeTags},
	referrerList: {encode: encodeReferrers, decode: decodeReferrers},
}

// finder asks the store before find does, and tells it what find found.
func (f *far) finder(m mark, at key, coded *codec, find finder) finder {
	return func(ctx context.Context) (*entry, error) {
		k := farKey(m, at, coded.build)
		if body, ok := f.store.Get(ctx, k); ok {
			e, err := coded.decode(at.name, body)
			if err == nil {
				return e, nil
			}
			f.store.Refuse()
		}
		e, err := find(ctx)
		if err == nil {
			if body := coded.encode(e); body != nil {
				f.store.Set(k, body)
			}
		}
		return e, err
	}
}

// farKey has spaces between its parts; all but the last two have none, and the
// length of the last but one is said.
func farKey(m mark, at key, build string) string {
	return strings.Join([]string{
		m.database, strconv.FormatUint(m.generation, 36), strconv.Itoa(int(at.kind)), string(at.repo), strconv.Itoa(len(build)), build, at.name,
	}, " ")
}

// errCoded says that a body is not what its key promises.
var errCoded = errors.New("the entry is not what its key says")

// A manifest's body is its digest, media type and artifact type, each ended by
// a zero byte, and its bytes.
func encodeManifest(e *entry) []byte {
	m := &e.manifest
	b := make([]byte, 0, len(m.Digest)+len(m.MediaType)+len(m.ArtifactType)+3+len(m.Raw))
	for _, text := range []string{m.Digest.String(), m.MediaType, m.ArtifactType} {
		b = append(append(b, text...), 0)
	}
	return append(b, m.Raw...)
}

// decodeManifest checks that the manifest is whole, and the one that is wanted
// unless that is "".
func decodeManifest(want string, b []byte) (*entry, error) {
	var texts [3]string
	for i := range texts {
		at := bytes.IndexByte(b, 0)
		if at < 0 {
			return nil, errCoded
		}
		texts[i], b = string(b[:at]), b[at+1:]
	}
	d := registry.Digest(texts[0])
	if want != "" && want != texts[0] || d.Validate() != nil || d.Algorithm().FromBytes(b) != d {
		return nil, errCoded
	}
	return &entry{manifest: registry.Manifest{
		Descriptor: registry.Descriptor{MediaType: texts[1], ArtifactType: texts[2], Digest: d, Size: int64(len(b))},
		Raw:        b,
	}}, nil
}

func encodeBlob(e *entry) []byte { return encodeJSON(&e.blob) }

func decodeBlob(want string, b []byte) (*entry, error) {
	e := &entry{}
	if err := json.Unmarshal(b, &e.blob); err != nil || e.blob.Digest.String() != want {
		return nil, errCoded
	}
	e.weight = blobWeight(e.blob)
	return e, nil
}

func encodeTags(e *entry) []byte {
	if e.long {
		return nil // as cheap to find out
	}
	return encodeJSON(e.tags)
}

func decodeTags(_ string, b []byte) (*entry, error) {
	e := &entry{}
	if err := json.Unmarshal(b, &e.tags); err != nil {
		return nil, errCoded
	}
	e.weight = tagsWeight(e.tags)
	return e, nil
}

func encodeReferrers(e *entry) []byte { return encodeJSON(e.referrers) }

func decodeReferrers(_ string, b []byte) (*entry, error) {
	e := &entry{}
	if err := json.Unmarshal(b, &e.referrers); err != nil {
		return nil, errCoded
	}
	e.weight = referrersWeight(e.referrers)
	return e, nil
}

func encodeJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil || len(b) > rediscache.MaxValue {
		return nil
	}
	return b
}
