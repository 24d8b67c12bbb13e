package npm

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"strings"

	"github.com/packhouse/packhouse/artifacttypes"
)

// provenanceSuffix is how the attachment with the provenance is called.
const provenanceSuffix = ".sigstore"

// received is the body of a PUT of a package, its tarball stored.
type received struct {
	object
	tarballName string
	tarball     artifacttypes.Staged // nil without an attachment
	provenance  []byte
}

func (b *received) discard() {
	if b.tarball != nil {
		b.tarball.Discard()
	}
}

// receive reads the body of a PUT of a package. The caller must discard it.
func receive(ctx context.Context, body io.Reader, v artifacttypes.View) (*received, error) {
	b := &received{}
	doc, err := scan(body, func(name string, data io.Reader) (err error) {
		if strings.HasSuffix(name, provenanceSuffix) {
			return b.takeProvenance(data)
		}
		if b.tarball != nil {
			return artifacttypes.Invalid("the request has two tarballs, %q and %q: publish one version at a time", clip(b.tarballName), clip(name))
		}
		text := newDecoder(data)
		b.tarballName = name
		if b.tarball, err = v.Stage(ctx, text); text.err != nil {
			return text.err
		}
		return err
	})
	b.object = doc
	if err != nil {
		b.discard()
		return nil, err
	}
	return b, nil
}

func (b *received) takeProvenance(data io.Reader) (err error) {
	if b.provenance != nil {
		return artifacttypes.Invalid("the request has two provenance bundles: publish one version at a time")
	}
	b.provenance, err = io.ReadAll(io.LimitReader(data, maxMetadata+1))
	if err == nil && len(b.provenance) > maxMetadata {
		return artifacttypes.Invalid("the provenance bundle is larger than %d MiB", maxMetadata>>20)
	}
	return err
}

// verify compares the tarball with what the request says of it.
func (b *received) verify(version object) error {
	attachments, _ := fields(b.get("_attachments"))
	attachment, _ := fields(attachments.get(b.tarballName))
	if v := attachment.get("length"); v != nil {
		var n int64
		if err := json.Unmarshal(v, &n); err != nil || n != b.tarball.Descriptor().Size {
			return artifacttypes.Invalid("the tarball is %d bytes long, but the request says %s", b.tarball.Descriptor().Size, clip(string(v)))
		}
	}
	stated, _ := fields(version.get("dist"))
	sums := b.tarball.Sums()
	if s, ok := text(stated.get("shasum")); ok && !strings.EqualFold(s, sums["sha1"]) {
		return artifacttypes.Invalid("the tarball's SHA-1 is %s, but the request says %s: it was damaged on the way", sums["sha1"], clip(s))
	}
	integrity, _ := text(stated.get("integrity"))
	for one := range strings.FieldsSeq(integrity) {
		algorithm, want, _ := strings.Cut(one, "-")
		want, _, _ = strings.Cut(want, "?")
		got, err := hex.DecodeString(b.sum(algorithm))
		if err != nil || len(got) == 0 {
			continue // an algorithm that no client checks either
		}
		if base64.StdEncoding.EncodeToString(got) != want {
			return artifacttypes.Invalid("the tarball's %s is not the %s that the request says: it was damaged on the way", algorithm, clip(one))
		}
	}
	return nil
}

// sum is the tarball's checksum in hex, "" for an unknown algorithm.
func (b *received) sum(algorithm string) string {
	switch algorithm {
	case "sha1", "sha512":
		return b.tarball.Sums()[algorithm]
	case "sha256":
		if d := b.tarball.Descriptor().Digest; d.Algorithm().Size() == sha256.Size {
			return d.Encoded()
		}
	}
	return ""
}
