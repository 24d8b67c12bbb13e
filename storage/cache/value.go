package cache

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash"
	"sync"
)

const (
	version = 1
	sumSize = 16
)

// errRefused says that a value is not one that was set under its key.
var errRefused = errors.New("the value does not belong to its key, or is damaged")

// sealer makes and checks values.
type sealer struct{ macs sync.Pool }

func newSealer(secret []byte) *sealer {
	s := &sealer{}
	s.macs.New = func() any { return hmac.New(sha256.New, secret) }
	return s
}

// name is what a key is called in Redis: short, and of any key.
func name(key string) string {
	sum := sha256.Sum256([]byte(key))
	return "packhouse:" + base64.RawURLEncoding.EncodeToString(sum[:18])
}

func (s *sealer) seal(key string, body []byte) []byte {
	out := make([]byte, 0, 1+2*binary.MaxVarintLen64+len(key)+len(body)+sumSize)
	out = append(out, version)
	out = binary.AppendUvarint(out, uint64(len(key)))
	out = append(out, key...)
	out = binary.AppendUvarint(out, uint64(len(body)))
	out = append(out, body...)
	return s.appendSum(out, out)
}

// open returns the body of a value that was sealed under key. It is a part of
// value.
func (s *sealer) open(key string, value []byte) ([]byte, error) {
	if len(value) < 1+sumSize || value[0] != version {
		return nil, errRefused
	}
	sealed, sum := value[:len(value)-sumSize], value[len(value)-sumSize:]
	of, rest, ok := field(sealed[1:])
	if !ok || string(of) != key {
		return nil, errRefused
	}
	body, rest, ok := field(rest)
	if !ok || len(rest) != 0 {
		return nil, errRefused
	}
	var want [sumSize]byte
	if !hmac.Equal(s.appendSum(want[:0], sealed), sum) {
		return nil, errRefused
	}
	return body, nil
}

func (s *sealer) appendSum(to, of []byte) []byte {
	mac := s.macs.Get().(hash.Hash)
	defer s.macs.Put(mac)
	mac.Reset()
	mac.Write(of)
	var sum [sha256.Size]byte
	return append(to, mac.Sum(sum[:0])[:sumSize]...)
}

// field cuts off what a length stands before.
func field(b []byte) (value, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return nil, nil, false
	}
	return b[size : size+int(n)], b[size+int(n):], true
}
