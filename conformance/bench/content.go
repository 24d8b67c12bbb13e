package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	"github.com/opencontainers/image-spec/specs-go/v1"
)

type blob struct {
	mediaType, digest string
	content           []byte
}

const smallBlob = 4 << 10

type image struct {
	blobs    []blob // the first is the config
	manifest []byte
	digest   string // of the manifest
}

// noise is an endless stream of bytes that nothing can compress or has seen before; the same seed gives the same bytes.
func noise(seed uint64) *rand.ChaCha8 {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	return rand.NewChaCha8(key)
}

// newImage makes an image of a config and so many layers, smallBlob bytes each, all of them its own.
func newImage(seed uint64, layers int) (image, error) {
	source := noise(seed)
	config := make([]byte, smallBlob/2)
	_, _ = source.Read(config) // never fails
	frame := len(`{"architecture":"amd64","os":"linux","noise":""}`)
	text := fmt.Sprintf(`{"architecture":"amd64","os":"linux","noise":"%s"}`, hex.EncodeToString(config)[:smallBlob-frame])
	im := image{blobs: []blob{newBlob(v1.MediaTypeImageConfig, []byte(text))}}
	m := v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest}
	for range layers {
		content := make([]byte, smallBlob)
		_, _ = source.Read(content)
		im.blobs = append(im.blobs, newBlob(v1.MediaTypeImageLayerGzip, content))
	}
	for i, b := range im.blobs {
		d := v1.Descriptor{MediaType: b.mediaType, Digest: digest.Digest(b.digest), Size: int64(len(b.content))}
		if i == 0 {
			m.Config = d
		} else {
			m.Layers = append(m.Layers, d)
		}
	}
	var err error
	if im.manifest, err = json.Marshal(m); err != nil {
		return image{}, err
	}
	im.digest = digest.FromBytes(im.manifest).String()
	return im, nil
}

func newBlob(mediaType string, content []byte) blob {
	return blob{mediaType: mediaType, digest: digest.FromBytes(content).String(), content: content}
}

// noiseFile writes size bytes of noise to path and returns their digest. They stay in the page cache: whoever sends or
// copies the file does not wait for the disk to read it.
func noiseFile(path string, seed uint64, size int64) (string, error) {
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	w := bufio.NewWriterSize(f, 1<<20)
	_, err = io.CopyN(io.MultiWriter(w, hash), noise(seed), size)
	if err := errors.Join(err, w.Flush(), f.Close()); err != nil {
		return "", err
	}
	return "sha256:" + hex.EncodeToString(hash.Sum(nil)), nil
}
