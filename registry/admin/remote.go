package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/packhouse/packhouse/registry"
)

// Remote runs operations in the server that has the data directory.
type Remote struct {
	dir    string
	client *http.Client
}

// Dial finds the server of a data directory. ok is false when none runs.
func Dial(ctx context.Context, dir string) (r *Remote, ok bool, err error) {
	c, err := dial(ctx, dir)
	switch {
	case errors.Is(err, errNotRunning):
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("admin socket: %w", err)
	}
	_ = c.Close() // it only showed that somebody answers
	r = &Remote{dir: dir}
	r.client = &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, r.dir) },
	}}
	return r, true, nil
}

func (r *Remote) call(ctx context.Context, name string, params json.RawMessage, progress Report) (json.RawMessage, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://localhost"+Prefix+name, bytes.NewReader(params))
	if err != nil {
		return nil, err
	}
	res, err := r.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the running server: %w", err)
	}
	defer func() { _ = res.Body.Close() }() // read to its end, or given up
	for dec := json.NewDecoder(res.Body); ; {
		var l line
		switch err := dec.Decode(&l); {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil, errors.New("the server stopped before the operation was finished: start it and try again")
		case err != nil:
			return nil, fmt.Errorf("read the server's answer (%s): %w", res.Status, err)
		case l.Error != nil:
			return nil, &registry.Error{Code: l.Error.Code, Message: l.Error.Message, Detail: l.Error.Detail}
		case l.Progress != nil:
			progress(*l.Progress)
		case l.Result != nil:
			return l.Result, nil
		}
	}
}
