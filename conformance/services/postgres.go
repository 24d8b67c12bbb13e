package services

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// PostgresOptions say how a cluster is made.
type PostgresOptions struct {
	Dir     string   // its data directory is made in it; "": a directory of this process
	Durable bool     // commits are fsynced: for tests that lose the machine's memory
	Args    []string // more settings, as the program takes them: "-c", "max_connections=20"
}

// Postgres is a cluster of one server.
type Postgres struct {
	Addr string // HOST:PORT

	process
	options PostgresOptions
	bin     string              // directory of its programs
	data    string              // its data directory
	user    *syscall.Credential // nil: the user of this process
}

// superuser is the cluster's own user; everybody on this machine may be it.
const superuser = "packhouse"

// StartPostgres makes a cluster of the newest PostgreSQL of Debian's and starts it.
func StartPostgres(ctx context.Context, o PostgresOptions) (*Postgres, error) {
	var err error
	if o.Dir == "" {
		if o.Dir, err = scratch(); err != nil {
			return nil, err
		}
	}
	p := &Postgres{options: o, process: process{name: "postgres", log: filepath.Join(o.Dir, "postgres.log")}}
	if p.bin, err = postgresPrograms(); err != nil {
		return nil, err
	}
	if err := p.initialize(ctx); err != nil {
		return nil, err
	}
	err = onFreePort(ctx, func(addr string) error {
		p.Addr = addr
		return p.Start(ctx)
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// initialize makes the cluster. Its order is that of English dictionaries: what relies on the order of bytes has to say so.
func (p *Postgres) initialize(ctx context.Context) (err error) {
	p.data = filepath.Join(p.options.Dir, "postgres")
	if err := os.Mkdir(p.data, 0o700); err != nil {
		return err
	}
	if os.Geteuid() == 0 { // which PostgreSQL refuses to run as
		if p.user, err = unprivileged(); err != nil {
			return err
		}
		if err := os.Chown(p.data, int(p.user.Uid), int(p.user.Gid)); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin, "initdb"), "--pgdata="+p.data, "--username="+superuser, "--auth=trust", //nolint:gosec // the tests' own
		"--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US", "--no-sync")
	cmd.Dir = p.data
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.user}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

// Start starts a cluster that was stopped or killed, on the same address.
func (p *Postgres) Start(ctx context.Context) error {
	host, port, err := net.SplitHostPort(p.Addr)
	if err != nil {
		return err
	}
	argv := []string{
		filepath.Join(p.bin, "postgres"), "-D", p.data, "-h", host, "-p", port, "-k", "",
		"-c", "max_connections=400", "-c", "logging_collector=off", "-c", "log_min_messages=warning", "-c", "log_line_prefix=%m [%p] %q%d ",
	}
	if !p.options.Durable {
		argv = append(argv, "-c", "fsync=off", "-c", "full_page_writes=off")
	}
	return p.start(ctx, program{
		argv: append(argv, p.options.Args...), user: p.user,
		death: syscall.SIGQUIT, // which it takes with it what it started and its shared memory
	}, func(ctx context.Context) error {
		return exec.CommandContext(ctx, filepath.Join(p.bin, "pg_isready"), "--quiet", "--host="+host, "--port="+port, "--dbname=postgres").Run() //nolint:gosec // the tests' own
	})
}

// Stop ends the server in good order; clients are disconnected.
func (p *Postgres) Stop() error { return p.end(syscall.SIGINT) }

// Quit ends the server at once, as a crash that it knows of: what is committed is recovered at the next start.
func (p *Postgres) Quit() error { return p.end(syscall.SIGQUIT) }

// Kill ends the server and its backends by SIGKILL.
func (p *Postgres) Kill() error { return p.kill() }

// Pause stops the server and its backends in the middle of whatever they do, Resume lets them go on.
func (p *Postgres) Pause() error { return p.each(syscall.SIGSTOP) }

// Resume ends a pause.
func (p *Postgres) Resume() error { return p.each(syscall.SIGCONT) }

// Logs is all that the server printed.
func (p *Postgres) Logs() string { return p.logs() }

// URL is that of a database.
func (p *Postgres) URL(database string) string {
	return "postgres://" + superuser + "@" + p.Addr + "/" + database + "?sslmode=disable"
}

// Create makes an empty database and returns its URL.
func (p *Postgres) Create(ctx context.Context, database string) (string, error) {
	_, err := p.Query(ctx, "postgres", `CREATE DATABASE "`+database+`"`)
	return p.URL(database), err
}

// Drop removes a database; who is connected to it is disconnected.
func (p *Postgres) Drop(ctx context.Context, database string) error {
	_, err := p.Query(ctx, "postgres", `DROP DATABASE IF EXISTS "`+database+`" WITH (FORCE)`)
	return err
}

// Query runs one statement and returns its rows, a line each, with | between the columns.
func (p *Postgres) Query(ctx context.Context, database, statement string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin, "psql"), "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", //nolint:gosec // the tests' own
		"--set=ON_ERROR_STOP=1", "--dbname="+p.URL(database), "--command="+statement)
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return "", fmt.Errorf("psql: %w: %s", err, exit.Stderr)
	}
	return strings.TrimRight(string(out), "\n"), err
}

// Dump is a database as SQL.
func (p *Postgres) Dump(ctx context.Context, database string) ([]byte, error) {
	out, err := exec.CommandContext(ctx, filepath.Join(p.bin, "pg_dump"), "--dbname="+p.URL(database)).Output() //nolint:gosec // the tests' own
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil, fmt.Errorf("pg_dump: %w: %s", err, exit.Stderr)
	}
	return out, err
}

// postgresPrograms is the directory of the newest version's programs.
func postgresPrograms() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("PostgreSQL is not installed, conformance/run installs it: /usr/lib/postgresql is empty")
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(strings.Split(path, "/")[4]) // 0 for what is no version
		return n
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })), nil
}

// unprivileged is a user who owns nothing that matters.
func unprivileged() (*syscall.Credential, error) {
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return nil, err
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}
