package oidc

import (
	"bufio"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/packhouse/packhouse/conformance/rig"
)

// TestPeople: somebody logs in with a browser by the provider, becomes a user with the provider's groups, and may what
// those may; and loses it with the group.
func TestPeople(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.command(t, "group", "create", "devs")
	r.command(t, "grant", "add", "group:devs", "publisher", namespace)
	jane := &person{password: "swordfish", name: "jane", full: "Jane Doe", email: "jane@example.com", groups: []string{"devs", "ops"}}
	r.issuer.people["248289761001"] = jane

	// login is what a client does and a person beside it.
	login := func(password string) (token string) {
		t.Helper()
		status, begun := r.call(t, r.URL+"/-/login", `{"client":"conformance"}`, nil)
		if status != http.StatusCreated {
			t.Fatalf("begin: %d %v", status, begun)
		}
		secret := `{"secret":"` + begun["secret"].(string) + `"}`
		done := begun["done_url"].(string)
		if status, answer := r.call(t, done, secret, nil); status != http.StatusAccepted {
			t.Errorf("before anybody said yes: %d %v", status, answer)
		}
		status, body := r.browser(t).login(t, begun["login_url"].(string), "jane", password)
		if password != jane.password {
			if status != http.StatusForbidden {
				t.Errorf("a wrong password: %d\n%s", status, body)
			}
			if status, answer := r.call(t, done, secret, nil); status != http.StatusAccepted {
				t.Errorf("after a wrong password: %d %v", status, answer)
			}
			return ""
		}
		if status != http.StatusOK {
			t.Fatalf("the page: %d\n%s", status, body)
		}
		status, answer := r.call(t, done, secret, nil)
		if status != http.StatusOK {
			t.Fatalf("done: %d %v", status, answer)
		}
		if status, answer := r.call(t, done, secret, nil); status != http.StatusUnauthorized {
			t.Errorf("done, again: %d %v", status, answer)
		}
		return answer["token"].(string)
	}
	login("wrong")
	if r.may(t, "jane", "create", "acme/generic/tool") {
		t.Error("jane may publish before she came")
	}
	put := func(token, path string) int {
		t.Helper()
		return r.put(t, token, path)
	}
	for _, asserted := range []bool{false, true} { // in the user info, in the ID token
		r.issuer.mu.Lock()
		r.issuer.asserted, jane.groups = asserted, []string{"devs", "ops"}
		r.issuer.mu.Unlock()
		token := login(jane.password)
		rig.Contains(t, r.command(t, "group", "show", "devs"), "jane")
		rig.Contains(t, r.command(t, "user", "show", "jane"), "Jane Doe", "jane@example.com", "oidc")
		path := "/acme/generic/tool/" + map[bool]string{false: "1.0", true: "2.0"}[asserted] + "/file"
		if status := put(token, path); status != http.StatusCreated {
			t.Errorf("publish as jane: %d", status)
		}
		if status := put(token, "/other/generic/tool/1.0/file"); status != http.StatusForbidden {
			t.Errorf("publish elsewhere: %d, want 403", status)
		}
		// The next log-in brings the groups of that day, and they hold for the token of before.
		r.issuer.mu.Lock()
		jane.groups = []string{"ops"}
		r.issuer.mu.Unlock()
		login(jane.password)
		if out := r.command(t, "group", "show", "devs"); strings.Contains(out, "jane") {
			t.Errorf("jane is still in devs:\n%s", out)
		}
		if status := put(token, "/acme/generic/tool/3.0/file"); status != http.StatusForbidden {
			t.Errorf("publish after leaving the group: %d, want 403", status)
		}
	}
	// Somebody else who is called the same is refused, and nothing is theirs.
	r.issuer.mu.Lock()
	delete(r.issuer.people, "248289761001")
	r.issuer.people["another"] = jane
	r.issuer.mu.Unlock()
	_, begun := r.call(t, r.URL+"/-/login", `{"client":"conformance"}`, nil)
	status, body := r.browser(t).login(t, begun["login_url"].(string), "jane", jane.password)
	if status != http.StatusForbidden || !strings.Contains(body, "that is the name of another user here") {
		t.Errorf("another jane: %d\n%s", status, body)
	}
}

// TestNPMWebLogin drives `npm login`, which shows a URL and waits.
func TestNPMWebLogin(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.issuer.people["248289761001"] = &person{password: "swordfish", name: "jane", groups: []string{"devs"}}
	home, npm := npmHome(t, r)
	cmd := exec.CommandContext(t.Context(), npm[0], append(npm[1:], "login", "--auth-type=web", "--browser=false")...)
	cmd.Dir, cmd.Env = home.Home, home.Env
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	page, lines := "", bufio.NewScanner(out)
	for page == "" && lines.Scan() {
		t.Log(lines.Text())
		page = regexp.MustCompile(`https://\S+/-/login/\S+`).FindString(lines.Text())
	}
	if page == "" {
		t.Fatalf("npm showed no page: %v", cmd.Wait())
	}
	status, body := r.browser(t).login(t, page, "jane", "swordfish")
	if status != http.StatusOK {
		t.Errorf("the page: %d\n%s", status, body)
	}
	rest, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("npm login: %v\n%s", err, rest)
	}
	rig.Contains(t, home.Run(t, append(npm, "whoami")...), "jane")
}

// npmHome is a home whose npm uses the feed, and how to run that npm.
func npmHome(t *testing.T, r *registry) (*rig.Registry, []string) {
	t.Helper()
	node, _ := rig.Tool(t, "node")
	npm, _ := rig.Tool(t, "npm")
	home := r.In(t)
	for i, v := range home.Env {
		if path, ok := strings.CutPrefix(v, "PATH="); ok {
			home.Env[i] = "PATH=" + filepath.Dir(node) + ":" + path
		}
	}
	home.Env = append(home.Env, "NODE_EXTRA_CA_CERTS="+r.CACert)
	home.File(t, ".npmrc", []byte("registry="+r.URL+"/"+namespace+"/npm/\nfetch-retries=0\nupdate-notifier=false\ncafile="+r.CACert+"\n"))
	return home, []string{node, npm}
}
