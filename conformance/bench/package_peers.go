package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/packhouse/packhouse/conformance/tools"
)

const (
	verdaccioName  = "verdaccio"
	pypiserverName = "pypiserver"
	devpiName      = "devpi"
)

// fsyncSuffix makes the name of a peer that does not wait for the disk that of another one of its kind, whose files the
// loader syncs before it counts a publish as done: what it would cost if it kept the promise that packhouse's answer is.
const fsyncSuffix = "-fsync"

// namespace is where packhouse has its feeds, and the user whose index devpi has.
const namespace = "bench"

// verdaccioConfig is the configuration that ships with it, without the public registry behind it, web pages and accounts, and
// with the access log as JSON, which costs less than the coloured one.
const verdaccioConfig = `storage: DIR/data
auth:
  htpasswd: {file: DIR/htpasswd}
packages:
  '**': {access: $all, publish: $all, unpublish: $all}
server: {keepAliveTimeout: 60}
middlewares:
  audit: {enabled: false}
max_body_size: 1gb
web: {enable: false}
log: {type: stdout, format: json, level: http}
`

// toolPath is the program of a pinned tool.
func toolPath(name string) (string, error) {
	tool, err := tools.Find(name)
	if err != nil {
		return "", err
	}
	return tool.Path()
}

// node is the command that runs a JavaScript tool.
func node(name string) ([]string, error) {
	interpreter, err := toolPath("node")
	if err != nil {
		return nil, err
	}
	script, err := toolPath(name)
	return []string{interpreter, script}, err
}

// startPackagePeer starts a server of packages.
func startPackagePeer(ctx context.Context, name, dir string) (*peer, error) {
	switch kind := kindOf(name); kind {
	case verdaccioName:
		command, err := node(kind)
		if err != nil {
			return nil, err
		}
		addr, err := freeAddr(ctx)
		if err != nil {
			return nil, err
		}
		return spawnPeerAt(ctx, name, dir, addr, "verdaccio.yaml", verdaccioConfig, nil, append(command, "--listen", addr, "--config")...)
	case pypiserverName:
		return startPypiserver(ctx, name, dir)
	case devpiName:
		return startDevpi(ctx, dir)
	}
	return nil, fmt.Errorf("%s is not a server", name)
}

// kindOf is the program that a peer is.
func kindOf(name string) string { return strings.TrimSuffix(name, fsyncSuffix) }

// startPypiserver starts it with its defaults, open to everybody.
func startPypiserver(ctx context.Context, name, dir string) (*peer, error) {
	program, err := toolPath(pypiserverName)
	if err != nil {
		return nil, err
	}
	addr, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	pid, stop, err := spawn(ctx, filepath.Join(dir, name+".log"), addr, nil,
		program, "-v", "run", "-i", host, "-p", port, "-a", ".", "-P", ".", "--disable-fallback", data)
	if err != nil {
		return nil, err
	}
	return &peer{name: name, addr: addr, pid: pid, data: data, stop: stop}, nil
}

// startDevpi starts it with its defaults, and one index to which everybody may upload.
func startDevpi(ctx context.Context, dir string) (*peer, error) {
	program, err := toolPath(devpiName)
	if err != nil {
		return nil, err
	}
	addr, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	initialize := exec.CommandContext(ctx, filepath.Join(filepath.Dir(program), "devpi-init"), "--serverdir", data, "--no-root-pypi") //nolint:gosec // the pinned list's own
	if out, err := initialize.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("devpi-init: %w\n%s", err, out)
	}
	pid, stop, err := spawn(ctx, filepath.Join(dir, devpiName+".log"), addr, nil, program, "--serverdir", data, "--listen", addr)
	if err != nil {
		return nil, err
	}
	p := &peer{name: devpiName, addr: addr, pid: pid, data: data, stop: stop}
	if err := makeIndex(ctx, p); err != nil {
		return nil, errors.Join(err, stop())
	}
	return p, nil
}

// makeIndex makes a user and an index of devpi.
func makeIndex(ctx context.Context, p *peer) error {
	var client http.Client
	ask := func(method, path, token, body string) ([]byte, error) {
		r, err := http.NewRequestWithContext(ctx, method, "http://"+p.addr+path, strings.NewReader(body))
		if err != nil {
			return nil, err
		}
		r.Header.Set("Content-Type", "application/json")
		if token != "" {
			r.SetBasicAuth(namespace, token)
		}
		res, err := client.Do(r)
		if err != nil {
			return nil, err
		}
		answer, err := io.ReadAll(res.Body)
		if err := errors.Join(err, res.Body.Close()); err != nil {
			return nil, err
		}
		if res.StatusCode >= http.StatusMultipleChoices {
			err = fmt.Errorf("devpi: %s %s: %s: %s", method, path, res.Status, answer)
		}
		return answer, err
	}
	if _, err := ask(http.MethodPut, "/"+namespace, "", `{"password":"bench"}`); err != nil {
		return err
	}
	answer, err := ask(http.MethodPost, "/+login", "", `{"user":"`+namespace+`","password":"bench"}`)
	if err != nil {
		return err
	}
	var login struct{ Result struct{ Password string } }
	if err := json.Unmarshal(answer, &login); err != nil {
		return err
	}
	_, err = ask(http.MethodPut, "/"+namespace+"/dev", login.Result.Password, `{"type":"stage","bases":[],"volatile":false,"acl_upload":[":ANONYMOUS:"]}`)
	return err
}

// npmFeed is the path of a server's npm feed, without a trailing slash.
func (p *peer) npmFeed() string {
	if p.name == packhouseName {
		return "/" + namespace + "/npm"
	}
	return ""
}

// simplePage is the path of a project's simple page; project "" is the list of all.
func (p *peer) simplePage(project string) string {
	base := map[string]string{packhouseName: "/" + namespace + "/pypi/simple/", pypiserverName: "/simple/", devpiName: "/" + namespace + "/dev/+simple/"}[kindOf(p.name)]
	if project == "" {
		return base
	}
	return base + project + "/"
}

// wheelUpload is where wheels are uploaded to.
func (p *peer) wheelUpload() string {
	return map[string]string{packhouseName: "/" + namespace + "/pypi/", pypiserverName: "/", devpiName: "/" + namespace + "/dev/"}[kindOf(p.name)]
}

// settle makes files and folders below the data of p durable, if that is what p is for.
func (p *peer) settle(names ...string) error {
	if !strings.HasSuffix(p.name, fsyncSuffix) {
		return nil
	}
	for _, name := range names {
		f, err := os.Open(filepath.Join(p.data, name))
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// makeDir is os.MkdirAll for what only this program and its servers read.
func makeDir(elem ...string) (string, error) {
	dir := filepath.Join(elem...)
	return dir, os.MkdirAll(dir, 0o750)
}
