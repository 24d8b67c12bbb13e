package auth

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
)

const (
	maxHtpasswd    = 16 << 20 // bytes
	maxBcryptCost  = 15       // some seconds
	htpasswdEvery  = time.Second
	bcryptPassword = 72 // bytes that bcrypt looks at
)

// htpasswd is a file of lines USER:HASH as `htpasswd -B` writes it, read again
// when it changes. Its hashes are bcrypt's ($2a$, $2b$, $2y$): the others that
// Apache knows are no protection.
type htpasswd struct {
	path string
	log  *slog.Logger

	mu     sync.Mutex
	looked time.Time // when the file was last looked at
	size   int64
	mtime  time.Time
	users  map[string]string // → hash
	cost   int               // the highest in it
}

func newHtpasswd(path string, log *slog.Logger) (*htpasswd, error) {
	f := &htpasswd{path: path, log: log}
	if err := f.read(); err != nil {
		return nil, err
	}
	f.looked = time.Now()
	return f, nil
}

// hash returns a user's hash; "" for no such user. If the file cannot be read
// any more, what was read last holds.
func (f *htpasswd) hash(ctx context.Context, user string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); now.Sub(f.looked) >= htpasswdEvery {
		f.looked = now
		if err := f.read(); err != nil {
			f.log.ErrorContext(ctx, "htpasswd file cannot be read, its last state holds", "error", err)
		}
	}
	return f.users[user]
}

// dummy is a hash that no password matches and that costs as much as the
// dearest one of the file.
func (f *htpasswd) dummy() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return fmt.Sprintf("$2a$%02d$%s", max(f.cost, bcrypt.MinCost), strings.Repeat(".", 53))
}

// read reads the file if its size or time changed.
func (f *htpasswd) read() error {
	file, err := os.Open(f.path)
	if err != nil {
		return fmt.Errorf("read htpasswd file: %w", err)
	}
	defer file.Close() //nolint:errcheck // nothing was written
	fi, err := file.Stat()
	switch {
	case err != nil:
		return fmt.Errorf("read htpasswd file: %w", err)
	case f.users != nil && fi.Size() == f.size && fi.ModTime().Equal(f.mtime):
		return nil
	case fi.Size() > maxHtpasswd:
		return fmt.Errorf("htpasswd file %s is larger than %d bytes", f.path, maxHtpasswd)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxHtpasswd))
	if err != nil {
		return fmt.Errorf("read htpasswd file: %w", err)
	}
	users, cost, err := parseHtpasswd(text)
	if err != nil {
		return fmt.Errorf("htpasswd file %s: %w", f.path, err)
	}
	f.users, f.cost, f.size, f.mtime = users, cost, fi.Size(), fi.ModTime()
	return nil
}

// parseHtpasswd reads lines; empty ones and those that begin with # do not
// count. It never shows what a line says beside the user.
func parseHtpasswd(text []byte) (users map[string]string, cost int, err error) {
	users = map[string]string{}
	number := 0
	for line := range bytes.Lines(text) {
		number++
		line = bytes.TrimRight(line, "\r\n \t")
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		user, hash, ok := strings.Cut(string(line), ":")
		switch {
		case !ok:
			return nil, 0, fmt.Errorf("line %d is not USER:HASH", number)
		case !LegalUser(user):
			return nil, 0, fmt.Errorf("line %d: %q cannot be the name of a user here: use 1 to %d of a-z, 0-9, '.', '_', '@', '+' and '-'", number, clip(user), maxName)
		case users[user] != "":
			return nil, 0, fmt.Errorf("line %d: %q is there twice", number, user)
		}
		n, err := bcrypt.Cost([]byte(hash))
		if err != nil || len(hash) != 60 {
			return nil, 0, fmt.Errorf("line %d: the hash of %q is not bcrypt's: make it with htpasswd -B", number, user)
		}
		if n > maxBcryptCost {
			return nil, 0, fmt.Errorf("line %d: the hash of %q has cost %d, the limit is %d", number, user, n, maxBcryptCost)
		}
		users[user], cost = hash, max(cost, n)
	}
	return users, cost, nil
}

// checkBcrypt compares a password with a hash of the htpasswd file; "" is
// nobody's, which never matches. It returns TOOMANYREQUESTS, or ctx's error.
func (s *Service) checkBcrypt(ctx context.Context, hash, password string) (ok bool, err error) {
	compared := hash
	if hash == "" {
		compared = s.login.htpasswd.dummy()
	}
	// What is longer is not compared in full: it cannot be right.
	within := len(password) <= bcryptPassword
	if !within {
		password = password[:bcryptPassword]
	}
	err = s.login.hashes.run(ctx, func() {
		ok = bcrypt.CompareHashAndPassword([]byte(compared), []byte(password)) == nil && within && hash != ""
	})
	return ok && err == nil, err
}
