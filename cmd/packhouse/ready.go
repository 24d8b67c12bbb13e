package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/packhouse/packhouse/registry/admin"
)

func readyCommand() *cobra.Command {
	c := &connection{}
	var wait string
	cmd := &cobra.Command{
		Use:   "ready",
		Short: "Tell whether a server is ready for requests",
		Long: `Tell whether the server of the data directory or, with --server, the one at a URL
is ready for requests: it prints ok and ends with 0, or says why not and ends with 1.

No credentials are needed. It is the health check of the container image, which
has no shell and no other HTTP client.`,
		Example: `  packhouse ready
  packhouse ready --wait 1m --server https://packages.example.com`,
		Args: cobra.NoArgs,
	}
	c.settings = newSettings(cmd)
	cmd.Flags().StringVar(&c.server, "server", "", "URL of the server to ask, instead of that of a data directory; PACKHOUSE_SERVER sets it too")
	cmd.Flags().StringVar(&wait, "wait", "0s", "how long to ask again until it is ready")
	cmd.MarkFlagsMutuallyExclusive("server", "data")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		patience, err := parseDuration(wait)
		if err != nil {
			return usageError(fmt.Errorf("--wait: %w", err))
		}
		if err := c.awaitReady(cmd.Context(), patience); err != nil {
			return err
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), "ok")
		return err
	}
	return cmd
}

const (
	readyEvery   = 200 * time.Millisecond
	readyTimeout = 5 * time.Second // of one answer
)

// awaitReady asks at least once.
func (c *connection) awaitReady(ctx context.Context, patience time.Duration) error {
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(readyEvery)
	defer tick.Stop()
	for {
		err := c.ready(ctx)
		if _, hopeless := errors.AsType[*exitError](err); err == nil || hopeless || !time.Now().Before(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// ready asks once.
func (c *connection) ready(ctx context.Context) error {
	base, transport := "", http.DefaultTransport
	if address := c.address(); address != "" {
		var err error
		if base, err = admin.ServerURL(address); err != nil {
			return usageError(err)
		}
	} else {
		cfg, err := c.load()
		if err != nil {
			return err
		}
		if base, err = published(cfg.Data); err != nil {
			return err
		}
		// The certificate names the server's host, not this loopback address.
		transport = &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // nothing secret is sent or believed
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/-/ready", nil)
	if err != nil {
		return err
	}
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return fmt.Errorf("not ready: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	reason, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10)) // for people alone
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s: %s", res.Status, strings.TrimSpace(string(reason)))
	}
	return nil
}

// published is where the server of a data directory answers probes: the second
// listener, which speaks no TLS, or else the clients'.
func published(data string) (string, error) {
	content, err := os.ReadFile(filepath.Join(data, "addr"))
	if errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("not ready: no server runs in %s", data)
	}
	if err != nil {
		return "", err
	}
	lines := strings.Fields(string(content))
	if len(lines) == 0 {
		return "", fmt.Errorf("not ready: the server in %s is starting", data)
	}
	return lines[len(lines)-1], nil
}
