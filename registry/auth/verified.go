package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
)

const (
	maxVerified = 50_000 // credentials remembered as good
	maxRefused  = 5_000  // tokens remembered as bad
	verifiedFor = 5 * time.Minute
	refusedFor  = 5 * time.Second
	notedEvery  = 30 * time.Second // how often the use of a credential is noted
)

// verified is a credential that was found good.
type verified struct {
	id         *Identity
	generation int64     // of the policy it was checked at: no other relies on it
	until      time.Time // whatever happens
	// proof is what a password was compared with ("" for tokens). While the
	// same is stored, the password need not be hashed again.
	proof string
	noted atomic.Int64 // when its use was last noted, Unix nanoseconds
}

// rejection is a token that was found bad.
type rejection struct {
	generation int64
	until      time.Time
}

// credentialKey stands for a credential in memory.
type credentialKey [sha256.Size]byte

// credentials remembers which credentials were good, by a keyed hash: what is
// in memory cannot be tried against a list of passwords without the key,
// which dies with the process.
type credentials struct {
	good   *otter.Cache[credentialKey, *verified]
	bad    *otter.Cache[credentialKey, rejection]
	hashes sync.Pool // of *keyed
}

type keyed struct {
	mac hash.Hash
	buf []byte
}

func newCredentials() *credentials {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails
	return &credentials{
		good:   otter.Must(&otter.Options[credentialKey, *verified]{MaximumSize: maxVerified}),
		bad:    otter.Must(&otter.Options[credentialKey, rejection]{MaximumSize: maxRefused}),
		hashes: sync.Pool{New: func() any { return &keyed{mac: hmac.New(sha256.New, key)} }},
	}
}

// key is HMAC-SHA-256 over whether c is bare, its user and its secret, each
// behind its length as 8 bytes, big endian.
func (m *credentials) key(c Credential) (sum credentialKey) {
	k := m.hashes.Get().(*keyed)
	b := append(k.buf[:0], 0)
	if c.Bare {
		b[0] = 1
	}
	for _, part := range [...]string{c.User, c.Secret} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(part)))
		b = append(b, part...)
	}
	k.mac.Reset()
	k.mac.Write(b)
	k.mac.Sum(sum[:0])
	clear(b)
	k.buf = b
	m.hashes.Put(k)
	return sum
}

// isRefused tells whether the same was refused a moment ago.
func (m *credentials) isRefused(key credentialKey, generation int64, now time.Time) bool {
	r, ok := m.bad.GetIfPresent(key)
	return ok && r.generation == generation && now.Before(r.until)
}

func (m *credentials) refuse(key credentialKey, generation int64, now time.Time) {
	m.bad.Set(key, rejection{generation, now.Add(refusedFor)})
}

// noteNow tells whether the use of v is to be noted: not each time.
func (v *verified) noteNow(now time.Time) bool {
	last := v.noted.Load()
	return now.UnixNano()-last >= int64(notedEvery) && v.noted.CompareAndSwap(last, now.UnixNano())
}
