package seal

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// maxKeyFile bounds a key file: some hundred keys.
const maxKeyFile = 16 << 10

// ParseKeys reads keys in base64, one a line; empty lines and what follows a
// '#' do not count.
func ParseKeys(text []byte) ([][]byte, error) {
	var keys [][]byte
	number := 0
	for line := range bytes.Lines(text) {
		number++
		line, _, _ = bytes.Cut(line, []byte("#"))
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		key, err := base64.StdEncoding.DecodeString(string(line))
		if err != nil || len(key) != KeySize {
			return nil, fmt.Errorf("line %d is not %d bytes in base64", number, KeySize) // never the line itself
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("there is no key in it")
	}
	return keys, nil
}

// LoadOrCreate makes a box of the keys in a file, or, if there is none, writes
// one with a new key, readable by its owner alone. Of two that create it at
// once one wins, and both use its key.
func LoadOrCreate(path string) (*Box, error) {
	b, err := load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return b, err
	}
	if err := create(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("write sealing key %s: %w", path, err)
	}
	return load(path)
}

func load(path string) (*Box, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read sealing key: %w", err)
	}
	if fi.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("sealing key %s can be read by others: run chmod 600 on it", path)
	}
	if fi.Size() > maxKeyFile {
		return nil, fmt.Errorf("sealing key %s is %d bytes long, the limit is %d", path, fi.Size(), maxKeyFile)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read sealing key: %w", err)
	}
	keys, err := ParseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("sealing key %s: %w", path, err)
	}
	return New(keys...)
}

// create writes the file whole and durable under another name first: a crash
// must not leave one that half exists, nor lose a key that sealed something.
func create(path string) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".seal-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	text := "# Opens the secrets in the database. Keep a copy apart from the database's.\n" + base64.StdEncoding.EncodeToString(GenerateKey()) + "\n"
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil { // unlike a rename it replaces nothing
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
