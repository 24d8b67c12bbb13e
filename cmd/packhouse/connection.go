package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/packhouse/packhouse/artifacttypes/all"
	"github.com/packhouse/packhouse/registry/admin"
	"github.com/packhouse/packhouse/registry/config"
	"github.com/packhouse/packhouse/registry/obs"
	"github.com/packhouse/packhouse/registry/server"
)

// connection says which server a command talks to: one at an address, that of
// a data directory, or none, when the command does the work itself.
type connection struct {
	*settings
	server    string
	tokenFile string
	insecure  bool
	// fresh, unless nil, lets the command work in a directory that no
	// registry was in, or says why it does not.
	fresh func(config.Config) error
}

// remote adds the flags that name a server.
func (c *connection) remote() {
	f := c.cmd.Flags()
	f.StringVar(&c.server, "server", "", "URL of the server to talk to, instead of that of a data directory; PACKHOUSE_SERVER sets it too")
	f.StringVar(&c.tokenFile, "token-file", "", "file with the token to show that server, instead of PACKHOUSE_TOKEN or that of packhouse login")
	_ = c.cmd.MarkFlagFilename("token-file") // the flag is there
	f.BoolVar(&c.insecure, "insecure", false, "send credentials to that server without encryption")
	c.cmd.MarkFlagsMutuallyExclusive("server", "data")
}

// address is the server that was named, "" for none. --data on the command
// line is stronger than the environment.
func (c *connection) address() string {
	switch {
	case c.server != "" || c.cmd.Flags().Lookup("server") == nil:
		return c.server
	case c.cmd.Flags().Changed("data"):
		return ""
	}
	return os.Getenv("PACKHOUSE_SERVER")
}

// connect returns the server at an address.
func (c *connection) connect(address string) (*admin.Remote, error) {
	base, err := admin.ServerURL(address)
	if err != nil {
		return nil, usageError(err)
	}
	token, err := c.token(base)
	if err != nil {
		return nil, err
	}
	r, err := admin.Connect(base, admin.Credentials{Token: token}, c.insecure)
	return r, usageError(err)
}

// token finds what to show a server: "" for nothing.
func (c *connection) token(base string) (string, error) {
	if c.tokenFile != "" {
		return secretFrom(c.tokenFile, c.cmd.InOrStdin())
	}
	if token := os.Getenv("PACKHOUSE_TOKEN"); token != "" {
		return token, nil
	}
	file, err := loadCredentials()
	if err != nil {
		return "", err
	}
	return file.Servers[base].Token, nil
}

// secretFrom reads a secret from a file, "-" for standard input.
func secretFrom(file string, stdin io.Reader) (string, error) {
	content, err := []byte(nil), error(nil)
	if file == "-" {
		content, err = io.ReadAll(io.LimitReader(stdin, maxSecret))
	} else {
		content, err = os.ReadFile(file)
	}
	if err != nil {
		return "", fmt.Errorf("read the secret: %w", err)
	}
	secret := strings.TrimRight(string(content), "\r\n")
	if secret == "" {
		return "", fmt.Errorf("read the secret: %s is empty", file)
	}
	return secret, nil
}

// maxSecret is more than any password or token has.
const maxSecret = 64 << 10

// running returns the server that the command talks to, if one runs.
func (c *connection) running(ctx context.Context) (_ *admin.Remote, ok bool, err error) {
	if address := c.address(); address != "" {
		r, err := c.connect(address)
		return r, err == nil, err
	}
	cfg, err := c.load()
	if err != nil {
		return nil, false, err
	}
	return admin.Dial(ctx, cfg.Data)
}

// caller returns what runs operations, and what ends it.
func (c *connection) caller(ctx context.Context) (_ admin.Caller, done func() error, err error) {
	remote, ok, err := c.running(ctx)
	if err != nil {
		return nil, nil, err
	}
	if ok {
		return remote, func() error { return nil }, nil
	}
	cfg, err := c.load()
	if err != nil {
		return nil, nil, err
	}
	if _, err := os.Stat(filepath.Join(cfg.Data, "packhouse.db")); errors.Is(err, os.ErrNotExist) && cfg.Database.URL == "" {
		if c.fresh == nil {
			return nil, nil, fmt.Errorf("there is no registry in %s: name its directory with --data, start one with `packhouse serve`, or name a server with --server", cfg.Data)
		}
		if err := c.fresh(cfg); err != nil {
			return nil, nil, err
		}
	}
	b, err := server.Open(ctx, cfg, all.Formats(), obs.NewLogger(c.cmd.ErrOrStderr(), slog.LevelWarn, cfg.Log.Format))
	if err != nil {
		return nil, nil, err
	}
	return admin.Local{Env: environment(b)}, b.Close, nil
}

// environment is what operations work on.
func environment(b *server.Backend) *admin.Env {
	return &admin.Env{Engine: b.Engine, Feeds: b.Feeds, Gate: b.Gate(), Auth: b.Auth, Audit: b.Audit}
}

// newConnection adds the flags by which a command finds a server.
func newConnection(cmd *cobra.Command) *connection {
	c := &connection{settings: newSettings(cmd)}
	c.remote()
	return c
}
