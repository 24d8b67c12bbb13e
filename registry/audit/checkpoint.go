package audit

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

// Checkpoint is what the chains of the audit had come to at one time: the
// heads that moved since the checkpoint before it.
type Checkpoint struct {
	Version  int       `json:"version"` // 1
	Number   int64     `json:"number"`  // from 1
	Time     time.Time `json:"time"`
	Through  int64     `json:"through"`  // no chain that has a later record is missing
	Previous string    `json:"previous"` // SHA-256 of the file before this one, hex; "" for the first
	Heads    []Head    `json:"heads"`
}

// Head is the latest record of a chain.
type Head struct {
	Chain string `json:"chain"`
	Seq   int64  `json:"seq"`
	Hash  string `json:"hash"` // hex
}

// signedCheckpoint is a file's whole content. The signature is of
// signaturePrefix and exactly the bytes of Checkpoint in the file.
type signedCheckpoint struct {
	Checkpoint json.RawMessage `json:"checkpoint"`
	KeyID      string          `json:"key_id"`
	PublicKey  []byte          `json:"public_key"` // SPKI, DER
	Signature  []byte          `json:"signature"`  // Ed25519
}

const (
	signaturePrefix = "packhouse audit checkpoint 1\n"
	nameLayout      = "20060102T150405.000Z" // file names sort as the checkpoints were written
	maxHeads        = 5000                   // in one file
	maxFile         = 4 << 20
)

var checkpointName = regexp.MustCompile(`^\d{8}T\d{6}\.\d{3}Z\.json$`)

func hashHex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// sign makes a file's content.
func sign(c Checkpoint, id string, key ed25519.PrivateKey) ([]byte, error) {
	raw, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(signedCheckpoint{
		Checkpoint: raw, KeyID: id, PublicKey: public,
		Signature: ed25519.Sign(key, append([]byte(signaturePrefix), raw...)),
	})
	return append(b, '\n'), err
}

// open reads a file's content and checks its signature: by one of the keys or,
// without any, by the key that is in it.
func open(b []byte, keys []ed25519.PublicKey) (c Checkpoint, keyID string, err error) {
	var s signedCheckpoint
	if err := strict(b, &s); err != nil {
		return c, "", fmt.Errorf("it cannot be read: %w", err)
	}
	public, err := x509.ParsePKIXPublicKey(s.PublicKey)
	key, ok := public.(ed25519.PublicKey)
	if err != nil || !ok {
		return c, s.KeyID, errors.New("its public key is none of Ed25519")
	}
	if !ed25519.Verify(key, append([]byte(signaturePrefix), s.Checkpoint...), s.Signature) {
		return c, s.KeyID, errors.New("its signature is wrong")
	}
	pinned := len(keys) == 0
	for _, k := range keys {
		pinned = pinned || key.Equal(k)
	}
	if !pinned {
		return c, s.KeyID, fmt.Errorf("it is signed by another key, %.40q", s.KeyID)
	}
	if err := strict(s.Checkpoint, &c); err != nil {
		return c, s.KeyID, fmt.Errorf("it cannot be read: %w", err)
	}
	if c.Version != 1 {
		return c, s.KeyID, fmt.Errorf("its version is %d: verify it with a newer packhouse", c.Version)
	}
	return c, s.KeyID, nil
}

// strict decodes exactly one value without unknown members.
func strict(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows")
	}
	return nil
}

// checkpointNames lists the files of dir from the first; none if there is no
// such directory.
func checkpointNames(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir) // sorted
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if checkpointName.MatchString(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// readBounded reads a file that ought to be small.
func readBounded(dir, name string) ([]byte, error) {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, maxFile)
	}
	return b, nil
}
