package image

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/packhouse/packhouse/conformance/packhouse"
	"github.com/packhouse/packhouse/conformance/rig"
)

// engine is a Docker Engine with its client's home.
type engine struct {
	docker string
	home   string
	env    []string
}

func start(t *testing.T) *engine {
	t.Helper()
	docker, _, socket := rig.Docker(t)
	home := t.TempDir()
	// BuildKit would pull an image of its own.
	return &engine{docker, home, append(rig.Environment(t, home), "DOCKER_HOST="+socket, "DOCKER_BUILDKIT=0")}
}

// run runs the client and returns its standard output, without the last newline.
func (e *engine) run(t *testing.T, args ...string) string {
	t.Helper()
	stdout, both, err := rig.Command(t, e.home, e.env, append([]string{e.docker}, args...)...)
	if err != nil {
		t.Fatalf("docker %s: %v: %s", args[0], err, both)
	}
	return strings.TrimSpace(stdout)
}

// serve starts the image as its own documentation says and returns the container, the registry's address and where the
// engine keeps its volume.
func (e *engine) serve(t *testing.T, image string, options ...string) (container, host, data string) {
	t.Helper()
	volume := e.run(t, "volume", "create")
	data = e.run(t, "volume", "inspect", "--format", "{{.Mountpoint}}", volume)
	args := append([]string{
		"run", "--detach", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=host", "--volume=" + volume + ":/data",
		"--env=PACKHOUSE_ADDR=127.0.0.1:0", "--env=PACKHOUSE_METRICS_ADDR=127.0.0.1:0", "--env=PACKHOUSE_AUTH=on",
	}, options...)
	container = e.run(t, append(args, image)...)
	e.run(t, "exec", container, "/packhouse", "ready", "--wait=1m")
	addr, err := os.ReadFile(filepath.Join(data, "addr"))
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(addr), "\n")
	return container, strings.TrimPrefix(first, "http://"), data
}

var printedToken = regexp.MustCompile(`(?m)^  (\S{20,})$`)

// logIn shows the engine the token that the first start printed.
func (e *engine) logIn(t *testing.T, from *engine, container, host string) {
	t.Helper()
	token := printedToken.FindStringSubmatch(from.run(t, "logs", container))
	if token == nil {
		t.Fatal("the first start printed no token")
	}
	e.run(t, "login", "--username=admin", "--password="+token[1], host)
}

func TestImage(t *testing.T) {
	t.Parallel()
	root, err := packhouse.Root()
	if err != nil {
		t.Fatal(err)
	}
	context := buildContext(t, root)
	e, other := start(t), start(t)
	build := func(tag string) {
		e.run(t, "build", "--no-cache", "--target=prebuilt", "--tag="+tag, context)
	}
	build("packhouse:one")

	t.Run("the same layers twice", func(t *testing.T) {
		build("packhouse:two")
		layers := func(tag string) string { return e.run(t, "inspect", "--format={{json .RootFS}}", tag) }
		rig.Equal(t, "layers of the second build", layers("packhouse:two"), layers("packhouse:one"))
	})

	t.Run("a shell has no way in", func(t *testing.T) {
		container := e.run(t, "create", "packhouse:one")
		listing, _, err := rig.Command(t, e.home, e.env, "/bin/sh", "-c", e.docker+" export "+container+" | tar --list --verbose --numeric-owner")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(strings.TrimSpace(listing), "\n") {
			fields := strings.Fields(line)
			// What the engine itself puts into every container is empty.
			if mode, size, name := fields[0], fields[2], fields[5]; mode[0] == '-' && size != "0" &&
				name != "packhouse" && name != "LICENSE" && name != "etc/ssl/certs/ca-certificates.crt" {
				t.Errorf("there is a file %s", line)
			} else if strings.ContainsAny(mode[:4], "sS") {
				t.Errorf("there is a set-user-id program %s", line)
			}
		}
		rig.Contains(t, e.run(t, "inspect", "--format={{json .Config.User}} {{json .Config.Healthcheck.Test}}", "packhouse:one"), `"65532:65532"`, "ready")
	})

	container, host, _ := e.serve(t, "packhouse:one", "--read-only")
	t.Run("started as nobody and read-only", func(t *testing.T) {
		pid := e.run(t, "inspect", "--format={{.State.Pid}}", container)
		status, err := os.ReadFile(filepath.Join("/proc", pid, "status"))
		if err != nil {
			t.Fatal(err)
		}
		rig.Contains(t, string(status), "\nUid:\t65532\t65532\t65532\t65532\n", "\nGid:\t65532\t65532\t65532\t65532\n",
			"\nCapEff:\t0000000000000000\n", "\nCapBnd:\t0000000000000000\n", "\nNoNewPrivs:\t1\n")
		rig.Equal(t, "read-only", e.run(t, "inspect", "--format={{.HostConfig.ReadonlyRootfs}}", container), "true")
	})

	itself := host + "/packhouse/packhouse:test"
	t.Run("pushed into itself", func(t *testing.T) {
		e.logIn(t, e, container, host)
		e.run(t, "tag", "packhouse:one", itself)
		e.run(t, "push", itself)
	})

	t.Run("pulled by an engine that is empty, and run", func(t *testing.T) {
		other.logIn(t, e, container, host)
		other.run(t, "pull", itself)
		layers := func(e *engine) string { return e.run(t, "inspect", "--format={{json .RootFS}}", itself) }
		rig.Equal(t, "pulled layers", layers(other), layers(e))
		rig.Contains(t, other.run(t, "run", "--rm", "--read-only", "--cap-drop=ALL", "--network=none", itself, "version"), "packhouse ")
		other.serve(t, itself, "--read-only", "--user=12345:12345")
	})

	t.Run("found healthy by the engine", func(t *testing.T) {
		await(t, "the health check", func() bool {
			return e.run(t, "inspect", "--format={{.State.Health.Status}}", container) == "healthy"
		})
	})

	t.Run("nothing is written outside of data", func(t *testing.T) {
		writable, host, _ := e.serve(t, "packhouse:one")
		e.logIn(t, e, writable, host)
		other := host + "/packhouse/packhouse:test"
		e.run(t, "tag", "packhouse:one", other)
		e.run(t, "push", other)
		e.run(t, "exec", writable, "/packhouse", "gc")
		e.run(t, "exec", writable, "/packhouse", "fsck")
		e.run(t, "stop", writable)
		rig.Equal(t, "docker diff", e.run(t, "diff", writable), "")
	})

	t.Run("stops when it is told to", func(t *testing.T) {
		e.run(t, "stop", "--time=60", container)
		rig.Equal(t, "exit code", e.run(t, "inspect", "--format={{.State.ExitCode}}", container), "0")
	})
}

// await asks until done, for a minute at most.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(time.Minute); !done(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s takes more than a minute", what)
		}
	}
}
