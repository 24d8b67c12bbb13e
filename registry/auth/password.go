package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Passwords are hashed with argon2id (RFC 9106) and kept as PHC strings:
//
//	$argon2id$v=19$m=19456,t=2,p=1$salt$hash
//
// m in KiB, salt and hash in base64 without padding. A hash made with other
// parameters is honoured up to the limits below: whoever can write the
// database must not be able to make a log-in cost gigabytes.
const (
	argonMemory  = 19 << 10 // KiB
	argonTime    = 2
	argonThreads = 1
	saltSize     = 16
	keySize      = 32

	mostArgonMemory  = 64 << 10 // KiB
	mostArgonTime    = 10
	mostArgonThreads = 4
	mostSaltOrKey    = 64
	leastSaltOrKey   = 8
)

// maxPassword bounds a password in bytes.
const maxPassword = 1024

var errPHC = errors.New("this is no argon2id hash within our limits")

// phc is a parsed PHC string.
type phc struct {
	memory, time uint32
	threads      uint8
	salt, key    []byte
}

func (h phc) String() string {
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.time, h.threads, b64(h.salt), b64(h.key))
}

// nobodys is what a password is compared with where there is none, so that
// whoever does not exist costs as much as who does.
func nobodys() phc {
	return phc{memory: argonMemory, time: argonTime, threads: argonThreads, salt: make([]byte, saltSize), key: make([]byte, keySize)}
}

func newPHC(password string) phc {
	h := nobodys()
	_, _ = rand.Read(h.salt) // never fails
	h.key = h.hash(password)
	return h
}

func (h phc) hash(password string) []byte {
	return argon2.IDKey([]byte(password), h.salt, h.time, h.memory, h.threads, uint32(len(h.key)))
}

func (h phc) matches(password string) bool {
	return subtle.ConstantTimeCompare(h.hash(password), h.key) == 1
}

func parsePHC(text string) (h phc, err error) {
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return phc{}, errPHC
	}
	parameters := strings.Split(parts[3], ",")
	if len(parameters) != 3 {
		return phc{}, errPHC
	}
	var numbers [3]uint32
	for i, p := range [...]struct {
		name string
		most uint64
	}{{"m=", mostArgonMemory}, {"t=", mostArgonTime}, {"p=", mostArgonThreads}} {
		digits, ok := strings.CutPrefix(parameters[i], p.name)
		n, err := strconv.ParseUint(digits, 10, 32)
		if !ok || err != nil || n < 1 || n > p.most {
			return phc{}, errPHC
		}
		numbers[i] = uint32(n)
	}
	h.memory, h.time, h.threads = numbers[0], numbers[1], uint8(numbers[2])
	strict := base64.RawStdEncoding.Strict()
	if h.salt, err = strict.DecodeString(parts[4]); err != nil {
		return phc{}, errPHC
	}
	if h.key, err = strict.DecodeString(parts[5]); err != nil {
		return phc{}, errPHC
	}
	for _, n := range [...]int{len(h.salt), len(h.key)} {
		if n < leastSaltOrKey || n > mostSaltOrKey {
			return phc{}, errPHC
		}
	}
	return h, nil
}

// hashPassword makes the PHC string of a password. It returns
// TOOMANYREQUESTS, or ctx's error.
func (s *Service) hashPassword(ctx context.Context, password string) (text string, err error) {
	err = s.login.hashes.run(ctx, func() { text = newPHC(password).String() })
	return text, err
}

// checkPassword compares a password with a PHC string; "" is nobody's, which
// takes as long and never matches. It returns TOOMANYREQUESTS, or ctx's error.
func (s *Service) checkPassword(ctx context.Context, text, password string) (ok bool, err error) {
	h, err := parsePHC(text)
	if err != nil {
		if text != "" {
			s.log.WarnContext(ctx, "password hash cannot be used", "error", err)
		}
		text, h = "", nobodys()
	}
	err = s.login.hashes.run(ctx, func() { ok = h.matches(password) && text != "" })
	return ok && err == nil, err
}
