package server

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"

	"github.com/packhouse/packhouse/registry/config"
	"github.com/packhouse/packhouse/storage/blob"
	"github.com/packhouse/packhouse/storage/blob/s3"
)

// OpenStorage opens what objects are kept in; files lie below dir unless the
// driver's own parameter says otherwise. A storage on another machine is tried
// out first: what is wrong with its parameters is said here and not by the
// first push.
func OpenStorage(ctx context.Context, c config.Storage, dir string) (*blob.Store, error) {
	s, err := connectStorage(ctx, c, dir)
	if err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	if c.Middleware.Name != "" {
		if err := s.Through(ctx, c.Middleware.Name, c.Middleware.Params); err != nil {
			return nil, fmt.Errorf("storage.middleware: %w", err)
		}
	}
	if _, local := s.Local(); local {
		return s, nil // opening it has written to it
	}
	if err := s.Check(ctx, rand.Text()); err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	return s, nil
}

func connectStorage(ctx context.Context, c config.Storage, dir string) (*blob.Store, error) {
	params := maps.Clone(c.Params)
	if params == nil {
		params = config.Params{}
	}
	switch c.Driver {
	case "s3aws", "s3":
		d, err := s3.Open(ctx, params)
		if err != nil {
			return nil, err
		}
		return blob.New(d), nil
	case "filesystem":
		if params["rootdirectory"] == nil {
			params["rootdirectory"] = dir
		}
	}
	return blob.Open(ctx, c.Driver, params)
}
