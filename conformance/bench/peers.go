package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/packhouse/packhouse/conformance/packhouse"
	"github.com/packhouse/packhouse/conformance/tools"
)

const (
	packhouseName    = "packhouse"
	distributionName = "distribution"
	nginxName        = "nginx"
	ddName           = "dd"
	ddSmallName      = "dd-32k"
)

func peerNames() []string {
	return []string{
		packhouseName, packhouseOpenName, distributionName, nginxName, ddName, ddSmallName,
		twoReplicasName, distributionRedisName, distributionS3Name, multipartName,
		verdaccioName, verdaccioName + fsyncSuffix, pypiserverName, pypiserverName + fsyncSuffix, devpiName,
	}
}

// distributionConfig is the configuration that ships with it (config-example.yml), without its passwords, with deletes, and
// without log lines other than the access log, which is on unless it is turned off.
const distributionConfig = `version: 0.1
log: {level: error}
storage:
  cache: {blobdescriptor: inmemory}
  filesystem: {rootdirectory: DIR/data}
  delete: {enabled: true}
  tag: {concurrencylimit: 8}
http:
  addr: ADDR
  headers: {X-Content-Type-Options: [nosniff]}
health:
  storagedriver: {enabled: true, interval: 10s, threshold: 3}
`

// nginxConfig buffers the access log as packhouse does: one write per request is not what this compares.
const nginxConfig = `USER
daemon off;
worker_processes auto;
pid DIR/nginx.pid;
error_log DIR/error.log error;
events { worker_connections 1024; }
http {
	access_log DIR/access.log combined buffer=64k flush=1s;
	sendfile on;
	tcp_nopush on;
	keepalive_requests 1000000000;
	default_type application/vnd.oci.image.manifest.v1+json;
	client_body_temp_path DIR/body;
	proxy_temp_path DIR/proxy;
	fastcgi_temp_path DIR/fastcgi;
	uwsgi_temp_path DIR/uwsgi;
	scgi_temp_path DIR/scgi;
	server {
		listen ADDR;
		root DIR/data;
	}
}
`

// peer is a running server.
type peer struct {
	name string
	addr string // HOST:PORT
	pid  int
	data string // data directory; nginx: the document root
	// How long packhouse took until it answered.
	startedIn time.Duration
	stop      func() error
}

// startPeer starts the named server with its data below dir, new or left there by an earlier start.
func startPeer(ctx context.Context, name, dir string) (*peer, error) {
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o755); err != nil { //nolint:gosec // nginx's workers read it
		return nil, err
	}
	switch name {
	case packhouseName:
		s, err := packhouse.Start(ctx, packhouse.Options{Data: filepath.Join(dir, "data")})
		if err != nil {
			return nil, err
		}
		return &peer{name: name, addr: s.Host, pid: s.PID(), data: s.Data, startedIn: s.StartedIn, stop: s.Stop}, nil
	case distributionName:
		tool, err := tools.Find(name)
		if err != nil {
			return nil, err
		}
		binary, err := tool.Path()
		if err != nil {
			return nil, err
		}
		// As its own container image has it; without, it tries to send traces to a collector.
		env := []string{"OTEL_TRACES_EXPORTER=none"}
		return spawnPeer(ctx, name, dir, distributionConfig, env, binary, "serve")
	case nginxName:
		return spawnPeer(ctx, name, dir, nginxConfig, nil, "nginx", "-c")
	}
	return startPackagePeer(ctx, name, dir)
}

// spawnPeer starts a program whose last argument is the path of its configuration.
func spawnPeer(ctx context.Context, name, dir, config string, env []string, argv ...string) (*peer, error) {
	addr, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	return spawnPeerAt(ctx, name, dir, addr, name+".conf", config, env, argv...)
}

// spawnPeerAt is spawnPeer at an address and with a configuration file of a given name.
func spawnPeerAt(ctx context.Context, name, dir, addr, file, config string, env []string, argv ...string) (*peer, error) {
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;" // the workers must be able to read what this program wrote
	}
	file = filepath.Join(dir, file)
	content := strings.NewReplacer("USER", user, "DIR", dir, "ADDR", addr).Replace(config)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		return nil, err
	}
	pid, stop, err := spawn(ctx, filepath.Join(dir, name+".log"), addr, env, append(argv, file)...)
	if err != nil {
		return nil, err
	}
	return &peer{name: name, addr: addr, pid: pid, data: filepath.Join(dir, "data"), stop: stop}, nil
}

// among are those of names that were asked for.
func (b *bench) among(names ...string) []string {
	var wanted []string
	for _, name := range names {
		for _, peer := range b.peers {
			if peer == name {
				wanted = append(wanted, name)
			}
		}
	}
	return wanted
}

// serve starts the wanted ones of the named peers below dir, runs f with them, stops them and removes dir.
func (b *bench) serve(ctx context.Context, dir string, names []string, f func(peers map[string]*peer) error) (err error) {
	dir = filepath.Join(b.dir, dir)
	peers := map[string]*peer{}
	defer func() {
		for _, p := range peers {
			err = errors.Join(err, p.stop())
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	for _, name := range b.among(names...) {
		if peers[name], err = startPeer(ctx, name, filepath.Join(dir, name)); err != nil {
			delete(peers, name)
			return err
		}
	}
	return f(peers)
}

// retire stops a peer that has done its part, if it was wanted.
func retire(peers map[string]*peer, name string) error {
	p := peers[name]
	if p == nil {
		return nil
	}
	delete(peers, name)
	return p.stop()
}

// describe notes versions and configurations of what the wanted groups need.
func (b *bench) describe(ctx context.Context, sets []string) error {
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return err
	}
	b.report.setting("%d processors, shared by servers and loader; load average at the start %s", runtime.NumCPU(), strings.Fields(string(load))[0])
	// wrk prints its version and then complains that no URL was given.
	wrk, _ := exec.CommandContext(ctx, "wrk", "-v").CombinedOutput()
	version := regexp.MustCompile(`\d+\.\d+\.\d+`)
	versions := []string{fmt.Sprintf("wrk %s", version.Find(wrk))}
	if slices.Contains(sets, imagesSet) {
		nginx, err := exec.CommandContext(ctx, "nginx", "-v").CombinedOutput()
		if err != nil {
			return fmt.Errorf("nginx -v: %w", err)
		}
		versions = append(versions, fmt.Sprintf("nginx %s", version.Find(nginx)))
		b.report.configuration("distribution", "yaml", distributionConfig)
		b.report.configuration("nginx", "nginx", strings.TrimPrefix(nginxConfig, "USER\n"))
	}
	if slices.Contains(sets, packagesSet) {
		b.report.configuration("verdaccio", "yaml", verdaccioConfig)
	}
	for _, t := range pinned(sets) {
		versions = append(versions, t.Name+" "+t.Version)
	}
	b.report.setting("%s", strings.Join(versions, ", "))
	return nil
}
