package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// credentials is the file that `packhouse login` keeps.
type credentials struct {
	Servers map[string]login `json:"servers"` // by URL
}

// login is what one server is shown.
type login struct {
	Name    string    `json:"name"` // whose it is: "user:alice"
	Token   string    `json:"token"`
	ID      string    `json:"id,omitempty"` // of a token that login made, which logout revokes
	Expires time.Time `json:"expires,omitzero"`
}

func credentialsFile() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("find where credentials are kept: %w", err)
	}
	return filepath.Join(dir, "packhouse", "credentials.json"), nil
}

// loadCredentials reads the file; one that is not there is empty.
func loadCredentials() (credentials, error) {
	c := credentials{Servers: map[string]login{}}
	path, err := credentialsFile()
	if err != nil {
		return c, nil //nolint:nilerr // without a home there are none
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("read credentials: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return c, fmt.Errorf("%s can be read by others: chmod 600 it, and make new tokens for what is in it", path)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return c, fmt.Errorf("read credentials: %w", err)
	}
	if err := json.Unmarshal(content, &c); err != nil {
		return c, fmt.Errorf("read credentials: %s: %w", path, err)
	}
	return c, nil
}

// save replaces the file, for its owner alone.
func (c credentials) save() (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("keep credentials: %w", err)
		}
	}()
	path, err := credentialsFile()
	if err != nil {
		return err
	}
	content, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".credentials-*") // made with mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(append(content, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}
