package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/packhouse/packhouse/artifacttypes/all"
	"github.com/packhouse/packhouse/registry/admin"
	"github.com/packhouse/packhouse/registry/config"
	"github.com/packhouse/packhouse/registry/obs"
	"github.com/packhouse/packhouse/registry/server"
)

func serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the registry",
		Long: `Run the registry until SIGINT or SIGTERM; a second signal ends it at once.

SIGHUP reads the configuration again and applies log.level; certificates are
read again by themselves when their files change.

Nothing needs to be set up: without flags it keeps its data in ./data and
listens on 127.0.0.1:5000, open to this machine alone.

On an address that other machines can reach, or with --auth on, it asks for
credentials. The first start then prints an administrator's token, once.

Spans of requests are sent where the standard OTEL_* variables say, for example
OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318; without them there are none.

All settings, with their documentation: packhouse config print`,
		Example: `  packhouse serve
  packhouse serve --data /var/lib/packhouse --addr 127.0.0.1:8080
  packhouse serve --config /etc/packhouse.yaml
  packhouse serve --addr 0.0.0.0:443 --tls-cert tls.crt --tls-key tls.key
  PACKHOUSE_LOG__LEVEL=debug packhouse serve`,
		Args: cobra.NoArgs,
	}
	s := newSettings(cmd)
	s.server()
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := s.load()
		if err != nil {
			return err
		}
		return serve(cmd.Context(), c, s.load, cmd.OutOrStdout(), cmd.ErrOrStderr())
	}
	return cmd
}

const gcPercent = 50

func serve(ctx context.Context, c config.Config, again func() (config.Config, error), stdout, stderr io.Writer) (err error) {
	if os.Getenv("GOGC") == "" {
		// Most of what lives is caches of a bounded size: collecting more often
		// costs little and keeps the process small.
		debug.SetGCPercent(gcPercent)
	}
	level := new(slog.LevelVar)
	if err := level.UnmarshalText([]byte(c.Log.Level)); err != nil {
		return usageError(err)
	}
	out := obs.NewOutput(stderr)
	defer func() { err = errors.Join(err, out.Close()) }()
	log := obs.NewLogger(out, level, c.Log.Format)
	watch := server.Watch{Metrics: obs.NewMetrics(build())}
	if watch.Tracing, err = startTracing(ctx, log); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopTracing(ctx, watch.Tracing)) }()
	backend, err := server.OpenWatched(ctx, c, all.Formats(), log, watch)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, backend.Close()) }()
	token := ""
	if !backend.Auth.Open() {
		if token, _, err = backend.Auth.Bootstrap(ctx); err != nil {
			return err
		}
	}
	s, err := listen(ctx, c, backend, watch, out, log)
	if err != nil {
		return err
	}
	log.InfoContext(ctx, "listening", "url", s.URL(), "data", backend.Dir.Path(), "version", build().Version)
	if _, err := io.WriteString(stdout, greeting(c, s.URL(), backend, token)); err != nil {
		log.WarnContext(ctx, "greeting not printed", "err", err)
	}
	defer onHangup(ctx, func() { reload(ctx, level, again, log) })()
	if err := s.Serve(ctx); err != nil {
		return err
	}
	log.InfoContext(context.WithoutCancel(ctx), "stopped")
	return nil
}

// onHangup calls do at each SIGHUP until ctx ends; stop waits for that.
func onHangup(ctx context.Context, do func()) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	var wait sync.WaitGroup
	wait.Go(func() {
		defer signal.Stop(signals)
		for {
			select {
			case <-signals:
				do()
			case <-ctx.Done():
				return
			}
		}
	})
	return func() { cancel(); wait.Wait() }
}

// reload applies what may change while the server runs.
func reload(ctx context.Context, level *slog.LevelVar, again func() (config.Config, error), log *slog.Logger) {
	c, err := again()
	if err == nil {
		err = level.UnmarshalText([]byte(c.Log.Level))
	}
	if err != nil {
		log.ErrorContext(ctx, "configuration not reloaded", "err", err)
		return
	}
	log.InfoContext(ctx, "configuration reloaded", "log_level", c.Log.Level)
}

func listen(ctx context.Context, c config.Config, b *server.Backend, watch server.Watch, out *obs.Output, log *slog.Logger) (*server.Server, error) {
	socket, err := admin.Listen(b.Dir.Path())
	if err != nil {
		return nil, err
	}
	api, err := admin.New(environment(b), admin.Options{MaxBody: int64(c.Limits.JSON), Log: log})
	if err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	o := server.Options{
		Config: c, Dir: b.Dir, Registry: b.Engine, Gate: b.Gate(), Auth: b.Auth, Limits: b.Limits, Feeds: b.Feeds,
		Redirect: b.RedirectURL(), Public: b.Public,
		Mounts: b.Mounts(api), Admin: socket, Operate: api.Socket(),
		Log: log, Metrics: watch.Metrics, Tracing: watch.Tracing, Version: build().Version,
	}
	if c.Log.Access {
		o.Access = obs.NewAccess(out, c.Log.Format)
	}
	s, err := server.Listen(ctx, o)
	if err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	return s, nil
}

// greeting is what a person who just started the server wants to know. token
// is the administrator's if it was made at this start.
func greeting(c config.Config, url string, b *server.Backend, token string) string {
	access := "It is open: no credentials are configured, so every program on this machine may read, write and delete."
	switch {
	case token != "":
		access = "It asks for credentials. This token is the administrator's; it is shown this once:\n\n  " + token +
			"\n\nLog in with it as any client's password, user name admin, or manage the registry:\n\n  packhouse login " + url
	case !b.Auth.Open():
		access = "It asks for credentials. `packhouse token create --user admin` beside the data directory makes an administrator another token."
	case c.InsecureOpen:
		access = "It is open (insecure_open): whoever reaches this address may read, write and delete."
	}
	if !c.InsecureOpen && !config.IsLoopback(c.Addr) && !c.TLS.Enabled() && !strings.HasPrefix(c.ExternalURL, "https://") {
		access += "\n\nMissing: encryption. Credentials can be read on their way here: set tls.cert and tls.key, or, behind a proxy that\nhas them, external_url to its https:// address."
	}
	base := url
	if c.ExternalURL != "" {
		base = c.ExternalURL
	}
	return fmt.Sprintf("Packhouse %s listens on %s and keeps its data in %s\n%s\n\n%s\nStop it with Ctrl-C.\n",
		build().Version, url, c.Data, access, server.Usage(base, b.Feeds))
}
