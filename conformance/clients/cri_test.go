package clients

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/packhouse/packhouse/conformance/rig"
)

// containerdConfig: a containerd with the kubelet's interface that shares nothing with another one. The snapshotter is the
// one that works on every file system.
const containerdConfig = `version = 2
root = %[1]q
state = %[2]q
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = %[3]q
[plugins."io.containerd.internal.v1.opt"]
  path = %[4]q
[plugins."io.containerd.grpc.v1.cri"]
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = %[5]q
`

// TestContainerd calls PullImage of containerd's image service as a kubelet does.
func TestContainerd(t *testing.T) {
	t.Parallel()
	containerd, version := rig.Debian(t, "containerd")
	ctr, _ := rig.Debian(t, "ctr")
	crane, _ := rig.Tool(t, "crane")
	node := startContainerd(t, containerd)
	overHTTPAndTLS(t, "containerd (CRI)", version, func(t *testing.T, r *registry) {
		node.trust(t, r)
		image, imageDigest := r.layout(t, "image "+r.URL[:5], "amd64")
		arm, _ := r.layout(t, "arm", "arm64")
		app := r.Host + "/cri/app"
		r.Run(t, crane, "push", image, app+":v1")
		r.Run(t, crane, "push", arm, app+":arm")
		r.Run(t, crane, "index", "append", "-m", app+":v1", "-m", app+":arm", "-t", app+":multi")
		imageID := r.Whole(t, "cri/app", "v1").Config.Digest
		t.Run("PullImage by tag", func(t *testing.T) {
			rig.Equal(t, "image", node.pull(t, app+":v1", nil), imageID)
			got := node.status(t, app+":v1")
			if got == nil || len(got.RepoDigests) != 1 || got.RepoDigests[0] != app+"@"+imageDigest {
				t.Errorf("status = %v, want the digest %s", got, imageDigest)
			}
			node.remove(t, app+":v1")
		})
		t.Run("PullImage by digest", func(t *testing.T) {
			rig.Equal(t, "image", node.pull(t, app+"@"+imageDigest, nil), imageID)
			node.remove(t, app+"@"+imageDigest)
		})
		t.Run("PullImage with credentials", func(t *testing.T) {
			auth := &cri.AuthConfig{Username: "kubelet", Password: "secret", ServerAddress: r.Host}
			rig.Equal(t, "image", node.pull(t, app+":v1", auth), imageID)
			node.remove(t, app+":v1")
		})
		t.Run("PullImage of a multi-platform index", func(t *testing.T) {
			rig.Equal(t, "image", node.pull(t, app+":multi", nil), imageID)
			node.remove(t, app+":multi")
		})
		t.Run("PullImage of an unknown tag fails", func(t *testing.T) {
			_, err := node.images.PullImage(t.Context(), &cri.PullImageRequest{Image: &cri.ImageSpec{Image: app + ":none"}})
			if err == nil {
				t.Fatal("PullImage succeeded")
			}
			rig.Contains(t, err.Error(), "not found")
		})
		t.Run("fetch of a BuildKit cache", func(t *testing.T) {
			index := r.pushBuildCache(t, "cri/cache", "index", true)
			r.Run(t, ctr, "--address", node.socket, "--namespace", r.Host[10:], "content", "fetch",
				"--all-platforms", "--hosts-dir", node.hosts, r.Host+"/cri/cache:index")
			rig.Contains(t, r.Run(t, ctr, "--address", node.socket, "--namespace", r.Host[10:], "content", "ls", "-q"), index)
		})
		t.Run("ctr push", func(t *testing.T) {
			k8s := []string{ctr, "--address", node.socket, "--namespace", "k8s.io", "images"}
			node.pull(t, app+":v1", nil)
			r.Run(t, append(k8s, "push", "--hosts-dir", node.hosts, r.Host+"/cri/pushed:v1", app+":v1")...)
			rig.Equal(t, "pushed", r.Whole(t, "cri/pushed", "v1").Digest, imageDigest)
			node.remove(t, app+":v1")
		})
	})
}

type node struct {
	images cri.ImageServiceClient
	socket string
	hosts  string // directory of directories HOST:PORT with a hosts.toml each
}

func startContainerd(t *testing.T, containerd string) node {
	t.Helper()
	dir := t.TempDir()
	n := node{socket: filepath.Join(dir, "containerd.sock"), hosts: filepath.Join(dir, "hosts")}
	config := fmt.Sprintf(containerdConfig, filepath.Join(dir, "root"), filepath.Join(dir, "state"), n.socket,
		filepath.Join(dir, "opt"), n.hosts)
	file := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient("unix://"+n.socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	n.images = cri.NewImageServiceClient(conn)
	up := func(ctx context.Context) bool {
		if socket, err := net.Dial("unix", n.socket); err != nil {
			return false
		} else {
			_ = socket.Close()
		}
		_, err := n.images.ListImages(ctx, &cri.ListImagesRequest{})
		return err == nil
	}
	rig.Daemon(t, []string{"HTTPS_PROXY=http://127.0.0.1:1", "NO_PROXY=127.0.0.1"}, up, containerd, "--config", file)
	return n
}

// trust writes the hosts.toml by which containerd finds the registry and believes its certificate.
func (n node) trust(t *testing.T, r *registry) {
	t.Helper()
	ca := ""
	if r.TLS() {
		ca = fmt.Sprintf("ca = %q\n", r.CACert)
	}
	// The server is asked again, with its own settings, when the host of the same name has answered 404.
	hosts := fmt.Sprintf("server = %[1]q\n%[2]s[host.%[1]q]\ncapabilities = [\"pull\", \"resolve\", \"push\"]\n%[2]s", r.URL, ca)
	dir := filepath.Join(n.hosts, r.Host)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "hosts.toml"), []byte(hosts), 0o644); err != nil {
		t.Fatal(err)
	}
}

// pull returns the image's id, which is the digest of its configuration.
func (n node) pull(t *testing.T, image string, auth *cri.AuthConfig) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	res, err := n.images.PullImage(ctx, &cri.PullImageRequest{Image: &cri.ImageSpec{Image: image}, Auth: auth})
	if err != nil {
		t.Fatalf("PullImage %s: %v", image, err)
	}
	return res.ImageRef
}

func (n node) status(t *testing.T, image string) *cri.Image {
	t.Helper()
	res, err := n.images.ImageStatus(t.Context(), &cri.ImageStatusRequest{Image: &cri.ImageSpec{Image: image}})
	if err != nil {
		t.Fatalf("ImageStatus %s: %v", image, err)
	}
	return res.Image
}

func (n node) remove(t *testing.T, image string) {
	t.Helper()
	if _, err := n.images.RemoveImage(t.Context(), &cri.RemoveImageRequest{Image: &cri.ImageSpec{Image: image}}); err != nil {
		t.Fatalf("RemoveImage %s: %v", image, err)
	}
	if got := n.status(t, image); got != nil {
		t.Errorf("%s is still there after RemoveImage", image)
	}
}
