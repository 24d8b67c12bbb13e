package main

import (
	"errors"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/packhouse/packhouse/artifacttypes/all"
	"github.com/packhouse/packhouse/registry/config"
	"github.com/packhouse/packhouse/registry/feed"
)

// settings are the flags that set configuration keys.
type settings struct {
	cmd  *cobra.Command
	file string
	keys map[string]string // flag → key
}

// newSettings adds --config and --data, which all commands take that work on a
// data directory.
func newSettings(cmd *cobra.Command) *settings {
	s := &settings{cmd: cmd, keys: map[string]string{}}
	cmd.Flags().StringVar(&s.file, "config", os.Getenv("PACKHOUSE_CONFIG"), "configuration file (YAML); PACKHOUSE_CONFIG sets it too")
	_ = cmd.MarkFlagFilename("config", "yaml", "yml") // the flag is there
	s.text("data", "data", "data directory")
	_ = cmd.MarkFlagDirname("data")
	return s
}

// server adds the flags of serve.
func (s *settings) server() {
	d := config.Default()
	s.text("addr", "addr", "address for clients, HOST:PORT (default "+d.Addr+")")
	s.text("metrics-addr", "metrics_addr", "address for metrics, profiles and probes, HOST:PORT; \"\" for none (default "+d.MetricsAddr+")")
	s.text("external-url", "external_url", "URL under which clients reach this server")
	s.text("tls-cert", "tls.cert", "certificate chain (PEM): serve HTTPS")
	s.text("tls-key", "tls.key", "private key (PEM) of the certificate")
	s.text("log-level", "log.level", "debug, info, warn or error")
	s.text("log-format", "log.format", "text or json")
	s.text("auth", "auth", "on: ask for credentials on loopback, too; auto (default)")
	s.cmd.Flags().Bool("insecure-open", false, "ask nobody for credentials: whoever reaches the address may read, write and delete")
	s.keys["insecure-open"] = "insecure_open"
}

// text adds a flag without a default of its own: what is not given is left to
// the weaker sources.
func (s *settings) text(flag, key, usage string) {
	s.cmd.Flags().String(flag, "", usage)
	s.keys[flag] = key
}

// load returns the effective configuration.
func (s *settings) load() (config.Config, error) {
	given := map[string]string{}
	for flag, key := range s.keys {
		if f := s.cmd.Flags().Lookup(flag); f.Changed {
			given[key] = f.Value.String()
		}
	}
	c, err := config.Load(config.Sources{File: s.file, Env: os.Environ(), Flags: given})
	if problems := feed.CheckSettings(all.Formats(), c.Formats); len(problems) > 0 {
		err = errors.Join(err, errors.New(strings.Join(problems, "\n")))
	}
	return c, usageError(err)
}
