package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// KeySize is the length of a key in bytes.
const KeySize = 32

const (
	form       = 1
	keyIDSize  = 8
	headerSize = 1 + keyIDSize
	overhead   = 12 + 16 // nonce and tag
)

// What opening a sealed text can meet.
var (
	// ErrNoKey means that the key it was sealed with is not among the box's.
	ErrNoKey = errors.New("the key this was sealed with is not configured: secrets.key has to be that of the secret.key file of the data directory where the database was begun, the same on all replicas")
	// ErrBroken means that it was changed, cut, or sealed for something else.
	ErrBroken = errors.New("this was not sealed by us for this use")
)

// Box seals and opens. It is safe for concurrent use and never prints a key.
type Box struct {
	root    []byte // what keys for other uses are derived from
	current [keyIDSize]byte
	keys    map[[keyIDSize]byte]cipher.AEAD
}

// New makes a box of keys of [KeySize] bytes: the first seals, all open.
func New(keys ...[]byte) (*Box, error) {
	if len(keys) == 0 {
		return nil, errors.New("seal: at least one key is needed")
	}
	b := &Box{keys: make(map[[keyIDSize]byte]cipher.AEAD, len(keys))}
	for i, key := range keys {
		if len(key) != KeySize {
			return nil, fmt.Errorf("seal: key %d is %d bytes long, want %d", i+1, len(key), KeySize)
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, err
		}
		id := keyID(key)
		if i == 0 {
			b.current = id
			if b.root, err = hkdf.Extract(sha256.New, key, []byte("packhouse derived keys")); err != nil {
				return nil, err
			}
		}
		b.keys[id] = aead
	}
	return b, nil
}

// Derive returns a key of [KeySize] bytes for a purpose that is not sealing,
// by HKDF (RFC 5869) from the first of the box's keys: who has the same box
// gets the same.
func (b *Box) Derive(purpose string) ([]byte, error) {
	return hkdf.Expand(sha256.New, b.root, purpose, KeySize)
}

// keyID names a key without telling anything of it: the start of the SHA-256
// of "packhouse seal key" and the key, which is random throughout.
func keyID(key []byte) (id [keyIDSize]byte) {
	sum := sha256.Sum256(append([]byte("packhouse seal key"), key...))
	copy(id[:], sum[:])
	return id
}

// GenerateKey returns a new random key.
func GenerateKey() []byte {
	key := make([]byte, KeySize)
	_, _ = rand.Read(key) // never fails
	return key
}

// Seal returns plain sealed for one purpose and row.
func (b *Box) Seal(purpose, row string, plain []byte) []byte {
	out := make([]byte, headerSize, headerSize+overhead+len(plain))
	out[0] = form
	copy(out[1:], b.current[:])
	return b.keys[b.current].Seal(out, nil, plain, associated(out, purpose, row)) //nolint:gosec // the AEAD makes its own nonce
}

// Open returns what was sealed for that purpose and row. It returns ErrNoKey,
// ErrBroken.
func (b *Box) Open(purpose, row string, sealed []byte) ([]byte, error) {
	if len(sealed) < headerSize+overhead || sealed[0] != form {
		return nil, ErrBroken
	}
	header, text := sealed[:headerSize:headerSize], sealed[headerSize:]
	aead, ok := b.keys[[keyIDSize]byte(header[1:])]
	if !ok {
		return nil, ErrNoKey
	}
	plain, err := aead.Open(nil, nil, text, associated(header, purpose, row))
	if err != nil {
		return nil, ErrBroken // the cause says no more
	}
	return plain, nil
}

// Reseal returns sealed under the box's first key, and whether that is
// another text than before. It returns ErrNoKey, ErrBroken.
func (b *Box) Reseal(purpose, row string, sealed []byte) ([]byte, bool, error) {
	plain, err := b.Open(purpose, row, sealed)
	if err != nil {
		return nil, false, err
	}
	if [keyIDSize]byte(sealed[1:headerSize]) == b.current {
		return sealed, false, nil
	}
	return b.Seal(purpose, row, plain), true, nil
}

// associated is what a sealed text is bound to. Lengths keep ("ab", "c") and
// ("a", "bc") apart.
func associated(header []byte, purpose, row string) []byte {
	data := append([]byte(nil), header...)
	for _, part := range []string{purpose, row} {
		data = binary.BigEndian.AppendUint64(data, uint64(len(part)))
		data = append(data, part...)
	}
	return data
}
