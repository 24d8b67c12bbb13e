package oidc

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/packhouse/packhouse/conformance/rig"
	"github.com/packhouse/packhouse/conformance/tools"
)

// github are the claims of a job of GitHub Actions that releases a tag.
var github = claims{
	"sub": "repo:acme/widget:environment:release", "repository": "acme/widget", "repository_id": "74", "repository_owner": "acme", "repository_owner_id": "65",
	"repository_visibility": "private", "ref": "refs/tags/v1.0.0", "ref_type": "tag", "ref_protected": "true", "environment": "release", "event_name": "push",
	"workflow": "release", "workflow_ref": "acme/widget/.github/workflows/release.yml@refs/tags/v1.0.0", "job_workflow_ref": "acme/widget/.github/workflows/release.yml@refs/tags/v1.0.0",
	"actor": "jane", "actor_id": "12", "run_id": "30433642", "run_number": "10", "run_attempt": "1", "runner_environment": "github-hosted", "sha": "f7c7b0c8e0fa2f6f4a8a1b6dfee8d2c3a9e8b7d6",
}

// gitlab are those of a job of GitLab.
var gitlab = claims{
	"sub": "project_path:acme/widget:ref_type:tag:ref:v1.0.0", "namespace_id": "72", "namespace_path": "acme", "project_id": "20", "project_path": "acme/widget", "project_visibility": "private",
	"user_id": "1", "user_login": "jane", "user_email": "jane@example.com", "pipeline_id": "574", "pipeline_source": "push", "job_id": "302", "ref": "v1.0.0", "ref_type": "tag",
	"ref_path": "refs/tags/v1.0.0", "ref_protected": "true", "environment": "production", "runner_environment": "gitlab-hosted",
}

// githubRule and gitlabRule are claims that fit those jobs alone.
func githubRule() []string {
	return []string{"repository_id=74", "repository_owner_id=65", "ref=refs/tags/v*"}
}

func gitlabRule() []string { return []string{"project_id=20", "namespace_id=72", "ref_protected=true"} }

// TestGeneralExchange exchanges by hand, for a format whose clients know nothing of it.
func TestGeneralExchange(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.trust(t, "hub", "acme/generic/tool", githubRule()...)
	r.trust(t, "lab", "acme/generic/lab/**", gitlabRule()...)
	exchange := func(job claims, audience, repository string) (int, map[string]any) {
		t.Helper()
		return r.call(t, r.URL+"/-/oidc/token", fmt.Sprintf(`{"token":%q,"repository":%q}`, r.issuer.mustSign(t, job, audience), repository), nil)
	}
	put := func(token, path string) int {
		t.Helper()
		return r.put(t, token, path)
	}
	status, answer := exchange(github, r.Host, "")
	if status != http.StatusOK {
		t.Fatalf("exchange: %d %v", status, answer)
	}
	token := answer["token"].(string)
	expires, err := time.Parse(time.RFC3339, answer["expires_at"].(string))
	if life := time.Until(expires); err != nil || life <= 0 || life > 15*time.Minute {
		t.Errorf("the token lasts %s, %v", life, err)
	}
	for path, want := range map[string]int{
		"/acme/generic/tool/1.0/file": http.StatusCreated, "/acme/generic/tools/1.0/file": http.StatusForbidden, "/acme/generic/lab/1.0/file": http.StatusForbidden,
		"/other/generic/tool/1.0/file": http.StatusForbidden,
	} {
		if got := put(token, path); got != want {
			t.Errorf("PUT %s: %d, want %d", path, got, want)
		}
	}
	rig.Contains(t, r.command(t, "audit", "list"), "workload:hub", r.issuer.URL+" "+github["sub"].(string))
	for _, tt := range []struct {
		name, audience, repository string
		job                        claims
		want                       int
	}{
		{"the repository that is named", r.Host, "acme/generic/tool", github, http.StatusOK},
		{"another repository", r.Host, "acme/generic/other", github, http.StatusForbidden},
		{"another's repository", r.Host, "acme/generic/tool", gitlab, http.StatusForbidden},
		{"another audience", "other.example", "", github, http.StatusUnauthorized},
		{"a fork", r.Host, "", github.with(claims{"repository_id": "99", "repository_owner_id": "100"}), http.StatusForbidden},
		{"another branch", r.Host, "", github.with(claims{"ref": "refs/heads/main"}), http.StatusForbidden},
		{"the name taken by somebody else", r.Host, "", github.with(claims{"repository_id": "75"}), http.StatusForbidden},
	} {
		if status, answer := exchange(tt.job, tt.audience, tt.repository); status != tt.want {
			t.Errorf("%s: %d %v, want %d", tt.name, status, answer, tt.want)
		}
	}
	// What a rule gave ends with it.
	r.command(t, "trust", "remove", "hub")
	for range max(1, len(r.Replicas)) {
		got, status, answer := 0, 0, map[string]any(nil)
		if !r.Soon(func() bool { got = put(token, "/acme/generic/tool/2.0/file"); return got == http.StatusUnauthorized }) {
			t.Errorf("after the rule was removed: %d, want 401", got)
		}
		if !r.Soon(func() bool { status, answer = exchange(github, r.Host, ""); return status == http.StatusForbidden }) {
			t.Errorf("exchange after the rule was removed: %d %v, want 403", status, answer)
		}
	}
}

// TestNPM publishes with npm in jobs of both CI systems, which it knows by their environment.
func TestNPM(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.trust(t, "hub", "acme/npm/widget", githubRule()...)
	r.trust(t, "lab", "acme/npm/gadget", gitlabRule()...)
	r.issuer.run(github)
	// npm names the registry without its port.
	hub := []string{"GITHUB_ACTIONS=true", "ACTIONS_ID_TOKEN_REQUEST_URL=" + r.issuer.URL + "/ci?api-version=2", "ACTIONS_ID_TOKEN_REQUEST_TOKEN=" + ciToken}
	lab := []string{"GITLAB_CI=true", "NPM_ID_TOKEN=" + r.issuer.mustSign(t, gitlab, "npm:127.0.0.1")}
	fork := []string{"GITLAB_CI=true", "NPM_ID_TOKEN=" + r.issuer.mustSign(t, gitlab.with(claims{"project_id": "21"}), "npm:127.0.0.1")}
	elsewhere := []string{"GITLAB_CI=true", "NPM_ID_TOKEN=" + r.issuer.mustSign(t, gitlab, "npm:registry.example.org")}
	for _, tt := range []struct {
		name, pkg string
		env       []string
		ok        bool
	}{
		{"GitHub", "widget", hub, true},
		{"GitHub, another package", "gadget", hub, false},
		{"GitLab", "gadget", lab, true},
		{"GitLab, another package", "widget", lab, false},
		{"GitLab, a fork", "gadget", fork, false},
		{"GitLab, a token for another registry", "gadget", elsewhere, false},
		{"no CI", "widget", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			home, npm := npmHome(t, r)
			home.Env = append(home.Env, tt.env...)
			version := map[bool]string{true: "1.0.0", false: "6.6.6"}[tt.ok]
			home.File(t, "package.json", []byte(fmt.Sprintf(`{"name":%q,"version":%q,"license":"MIT","main":"index.js"}`, tt.pkg, version)))
			home.File(t, "index.js", []byte("module.exports = 1\n"))
			args := append(npm, "publish", "--loglevel=verbose", "--provenance=false")
			if !tt.ok {
				home.Refuse(t, args...)
				return
			}
			rig.Contains(t, home.Run(t, args...), "+ "+tt.pkg+"@1.0.0")
		})
	}
}

// TestPyPI publishes with uv, which exchanges the job's token itself, and with twine, which does that for one index alone:
// elsewhere the CI system's action for publishing does it and hands it the token.
func TestPyPI(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.trust(t, "hub", "acme/pypi/widget", githubRule()...)
	r.issuer.run(github)
	upload := r.URL + "/" + namespace + "/pypi/"
	twine, _ := rig.Tool(t, "twine")
	uv, _ := rig.Tool(t, "uv")
	for _, tt := range []struct {
		name, project, version string
		argv                   []string
		ok                     bool
	}{
		{"twine", "widget", "1.0", []string{twine, "upload", "--disable-progress-bar", "--non-interactive", "--repository-url=" + upload}, true},
		{"twine, another project", "gadget", "1.0", []string{twine, "upload", "--disable-progress-bar", "--non-interactive", "--repository-url=" + upload}, false},
		{"uv", "widget", "2.0", []string{uv, "publish", "--trusted-publishing=always", "--publish-url=" + upload}, true},
		{"uv, another project", "gadget", "2.0", []string{uv, "publish", "--trusted-publishing=always", "--publish-url=" + upload}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			home := r.In(t)
			home.Env = append(home.Env, "GITHUB_ACTIONS=true", "ACTIONS_ID_TOKEN_REQUEST_URL="+r.issuer.URL+"/ci?api-version=2", "ACTIONS_ID_TOKEN_REQUEST_TOKEN="+ciToken,
				"REQUESTS_CA_BUNDLE="+r.CACert, "TWINE_CERT="+r.CACert, "UV_PYTHON="+tools.Python, "UV_PYTHON_DOWNLOADS=never", "UV_NO_PROGRESS=1", "UV_HTTP_RETRIES=0",
				"PYTHON_KEYRING_BACKEND=keyring.backends.null.Keyring", "LANG=C.UTF-8", "NO_COLOR=1")
			if tt.argv[0] == twine {
				home.Env = append(home.Env, "TWINE_USERNAME=__token__", "TWINE_PASSWORD="+r.mint(t, github))
			}
			file := "dist/" + tt.project + "-" + tt.version + ".tar.gz"
			home.File(t, file, sdist(t, tt.project, tt.version))
			argv := append(append([]string{}, tt.argv...), file)
			if !tt.ok {
				home.Refuse(t, argv...)
				return
			}
			home.Run(t, argv...)
			if tt.argv[0] == uv { // which ends its token when it is done
				rig.Contains(t, r.command(t, "audit", "list", "--action", "token.revoke"), "workload:hub")
			}
		})
	}
	// A job that no rule fits is told so in the form that these clients print.
	for what, tt := range map[string]struct {
		body, code string
	}{
		"a fork":   {fmt.Sprintf(`{"token":%q}`, r.issuer.mustSign(t, github.with(claims{"repository_id": "99"}), r.Host)), "invalid-publisher"},
		"no token": {`{"token":"x"}`, "invalid-token"},
		"nothing":  {`{}`, "invalid-payload"},
	} {
		status, answer := r.call(t, r.URL+"/_/oidc/mint-token", tt.body, nil)
		if status != http.StatusUnprocessableEntity || !strings.Contains(fmt.Sprint(answer["errors"]), tt.code) {
			t.Errorf("%s: %d %v, want 422 and %s", what, status, answer, tt.code)
		}
	}
}

// mint does what the action for publishing does.
func (r *registry) mint(t *testing.T, job claims) string {
	t.Helper()
	_, text := r.Do(t, http.MethodGet, "/_/oidc/audience", nil, nil) //nolint:bodyclose // Do read it
	audience := rig.Decode[map[string]string](t, string(text))["audience"]
	status, answer := r.call(t, r.URL+"/_/oidc/mint-token", fmt.Sprintf(`{"token":%q}`, r.issuer.mustSign(t, job, audience)), nil)
	token, ok := answer["token"].(string)
	if status != http.StatusOK || !ok || answer["success"] != true {
		t.Fatalf("mint: %d %v", status, answer)
	}
	return token
}

// sdist makes a source distribution.
func sdist(t *testing.T, name, version string) []byte {
	t.Helper()
	var packed bytes.Buffer
	gz := gzip.NewWriter(&packed)
	tw := tar.NewWriter(gz)
	for file, content := range map[string]string{
		"PKG-INFO":       fmt.Sprintf("Metadata-Version: 2.1\nName: %s\nVersion: %s\nSummary: A test package.\n", name, version),
		"pyproject.toml": fmt.Sprintf("[project]\nname = %q\nversion = %q\n", name, version),
	} {
		if err := tw.WriteHeader(&tar.Header{Name: name + "-" + version + "/" + file, Mode: 0o644, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := gz.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}
