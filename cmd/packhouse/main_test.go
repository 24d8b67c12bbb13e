package main

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"packhouse": main}) }

// The scripts run the real program.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                scriptCommands(),
	})
}

// scriptCommands are those of scripts besides the usual.
func scriptCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"await":     await,
		"contains":  contains,
		"http":      request,
		"push":      push,
		"hangup":    signalServer(syscall.SIGHUP),
		"terminate": signalServer(syscall.SIGTERM),
	}
}

// await waits until a server has published its addresses: await DATA.
func await(ts *testscript.TestScript, _ bool, args []string) {
	poll(ts, "server in "+args[0], func() bool {
		_, err := os.Stat(ts.MkAbs(args[0] + "/addr"))
		return err == nil
	})
}

// poll waits for another process.
func poll(ts *testscript.TestScript, what string, done func() bool) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(30 * time.Second); !done(); {
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("no %s", what)
		}
	}
}

// contains waits until a file holds a text: contains FILE TEXT.
func contains(ts *testscript.TestScript, _ bool, args []string) {
	poll(ts, args[0]+" with "+args[1], func() bool { return strings.Contains(ts.ReadFile(args[0]), args[1]) })
}

// signalServer signals the server of a directory, by the pid it keeps there:
// terminate DATA.
func signalServer(sig syscall.Signal) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, args []string) {
		pid, err := strconv.Atoi(strings.TrimSpace(ts.ReadFile(args[0] + "/lock")))
		ts.Check(err)
		ts.Check(syscall.Kill(pid, sig))
	}
}

// base returns a line of DATA/addr: the clients' or the second listener's URL.
func base(ts *testscript.TestScript, data string, line int) string {
	return strings.Split(ts.ReadFile(data+"/addr"), "\n")[line]
}

// request asks the server of DATA: http DATA METHOD PATH STATUS. A path that
// starts with "second:" goes to the second listener. The body is printed.
func request(ts *testscript.TestScript, _ bool, args []string) {
	path, second := strings.CutPrefix(args[2], "second:")
	line := 0
	if second {
		line = 1
	}
	status, body := send(ts, args[1], base(ts, args[0], line)+path, nil, "")
	_, _ = fmt.Fprint(ts.Stdout(), body)
	if fmt.Sprint(status) != args[3] {
		ts.Fatalf("%s %s answered %d, want %s: %s", args[1], args[2], status, args[3], body)
	}
}

// push pushes an empty image: push DATA REPO TAG NOTE.
func push(ts *testscript.TestScript, _ bool, args []string) {
	url := base(ts, args[0], 0) + "/v2/" + args[1]
	config := []byte("{}")
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(config))
	if status, body := send(ts, "POST", url+"/blobs/uploads/?digest="+digest, config, "application/octet-stream"); status != http.StatusCreated {
		ts.Fatalf("blob: %d %s", status, body)
	}
	const mediaType = "application/vnd.oci.image.manifest.v1+json"
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":2},"layers":[],"annotations":{"note":%q}}`, mediaType, digest, args[3])
	if status, body := send(ts, "PUT", url+"/manifests/"+args[2], manifest, mediaType); status != http.StatusCreated {
		ts.Fatalf("manifest: %d %s", status, body)
	}
}

func send(ts *testscript.TestScript, method, url string, body []byte, contentType string) (int, string) {
	req, err := http.NewRequest(method, url, bytes.NewReader(body)) //nolint:noctx // scripts have no context
	ts.Check(err)
	req.Header.Set("Content-Type", contentType)
	res, err := http.DefaultClient.Do(req) //nolint:forbidigo // loopback
	ts.Check(err)
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	ts.Check(err)
	return res.StatusCode, string(answer)
}

// What every command says about itself, in one file to read through.
func TestHelp(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Short == "" || !cmd.HasSubCommands() && cmd.Example == "" {
			t.Errorf("%s lacks a description or an example", cmd.CommandPath())
		}
		if !cmd.HasSubCommands() && cmd.Args == nil {
			t.Errorf("%s takes any arguments", cmd.CommandPath())
		}
		_, _ = fmt.Fprintf(&got, "$ %s --help\n", cmd.CommandPath())
		cmd.SetOut(&got)
		if err := cmd.Help(); err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintln(&got)
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(rootCommand())
	const file = "testdata/help.txt"
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got.String(), "\n")); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}
