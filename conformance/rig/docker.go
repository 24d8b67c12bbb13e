package rig

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// Docker starts an engine that touches neither the network nor another engine's state, and returns the path of the
// client, the engine's version and its address.
func Docker(t *testing.T) (docker, version, socket string) {
	t.Helper()
	docker, _ = Debian(t, "docker")
	dockerd, version := Debian(t, "dockerd")
	dir := t.TempDir()
	socket = "unix://" + filepath.Join(dir, "docker.sock")
	// Where mounts are private, as in most containers, dockerd mounts its root onto itself and may leave that behind.
	t.Cleanup(func() {
		for _, mount := range []string{"data", "exec/netns/default"} {
			_ = syscall.Unmount(filepath.Join(dir, mount), syscall.MNT_DETACH)
		}
	})
	name := "conformance-" + filepath.Base(filepath.Dir(dir))
	config := filepath.Join(dir, "daemon.json")
	if err := os.WriteFile(config, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	up := func(ctx context.Context) bool {
		return exec.CommandContext(ctx, docker, "--host", socket, "info").Run() == nil
	}
	Daemon(t, []string{"HTTPS_PROXY=http://127.0.0.1:1", "NO_PROXY=127.0.0.1"}, up, dockerd,
		"--host", socket, "--config-file", config, "--pidfile", filepath.Join(dir, "pid"),
		"--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"),
		"--containerd-namespace", name, "--containerd-plugins-namespace", name+"-plugins",
		"--storage-driver=vfs", "--bridge=none", "--iptables=false", "--ip6tables=false")
	return docker, version, socket
}
