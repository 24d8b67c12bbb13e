package pypi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// fileFacts is what Inspect finds in one file.
type fileFacts struct {
	Kind kind `json:"kind"`
	// Of wheels, source distributions and metadata, canonical.
	Name    string `json:"name,omitempty"`
	Version string `json:"version,omitempty"`
	Python  string `json:"python,omitempty"` // a wheel's interpreter tag
	// Of wheels and source distributions.
	Metadata *metadata `json:"metadata,omitempty"`
	// Of wheels: their METADATA's hash and, unless it is long, itself as the
	// archive holds it, to be served where no layer has it.
	MetadataSHA256 string      `json:"metadata_sha256,omitempty"`
	Text           *packedText `json:"text,omitempty"`
}

// Inspect reads a file by what its name says it is; see [artifacttypes.Format].
func (Format) Inspect(ctx context.Context, name, _ string, r io.ReaderAt, size int64) (json.RawMessage, error) {
	facts, _, err := inspect(ctx, name, r, size)
	if err != nil {
		return nil, err
	}
	return json.Marshal(facts)
}

// inspect is Inspect; text is a wheel's METADATA.
func inspect(ctx context.Context, name string, r io.ReaderAt, size int64) (facts *fileFacts, text []byte, err error) {
	k, err := kindOf(name)
	if err != nil {
		return nil, nil, err
	}
	switch k {
	case wheelKind:
		return inspectWheel(ctx, name, r, size)
	case sdistKind:
		facts, err = inspectSdist(ctx, name, r, size)
	case metadataKind:
		facts, err = inspectMetadata(name, r, size)
	case signatureKind:
		facts, err = inspectSignature(name, r, size)
	}
	return facts, nil, err
}

func inspectMetadata(name string, r io.ReaderAt, size int64) (*fileFacts, error) {
	wheel, err := parseWheelName(strings.TrimSuffix(name, metadataSuffix))
	if err != nil {
		return nil, err
	}
	text, err := whole(name, r, size, maxMetadata)
	if err != nil {
		return nil, err
	}
	m, err := parseMetadata(name, text)
	if err != nil {
		return nil, err
	}
	if err := agree(name, wheel.name, wheel.version, &m); err != nil {
		return nil, err
	}
	return &fileFacts{Kind: metadataKind, Name: wheel.name, Version: wheel.version}, nil
}

// inspectSignature looks whether a file is an ASCII-armored detached
// signature, RFC 9580 section 6.2.
func inspectSignature(name string, r io.ReaderAt, size int64) (*fileFacts, error) {
	text, err := whole(name, r, size, maxArmor)
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(bytes.TrimSpace(text), []byte("-----BEGIN PGP SIGNATURE-----")) {
		return nil, artifacttypes.Invalid("%s is not an ASCII-armored detached signature", name)
	}
	return &fileFacts{Kind: signatureKind}, nil
}

func whole(name string, r io.ReaderAt, size, limit int64) ([]byte, error) {
	if size > limit {
		return nil, artifacttypes.Invalid("%s is larger than the %d KiB allowed", name, limit>>10)
	}
	text := make([]byte, size)
	if n, err := r.ReadAt(text, 0); int64(n) < size {
		return nil, err
	}
	return text, nil
}

// agree refuses metadata that is not about the name and the version in the
// file's name.
func agree(file, name, version string, m *metadata) error {
	found, _ := canonicalName(m.Name)
	if found != name {
		return artifacttypes.Invalid("%s is named after %s, but its metadata is about %s", file, name, found)
	}
	if found, _ := canonicalVersion(m.Version); found != version {
		return artifacttypes.Invalid("%s is named after version %s, but its metadata is about %s", file, version, found)
	}
	return nil
}

// in says in which file something is wrong.
func in(file string, err error) error {
	if e, ok := errors.AsType[*registry.Error](err); ok && e.Code == registry.ManifestInvalid {
		return artifacttypes.Invalid("%s: %s", clip(file), e.Message)
	}
	return err
}

// factsOf decodes what Inspect found.
func factsOf(f registry.File) (*fileFacts, error) {
	facts := &fileFacts{}
	if err := json.Unmarshal(f.Facts.Native, facts); err != nil {
		return nil, err
	}
	return facts, nil
}
