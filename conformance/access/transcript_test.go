package access

import (
	"flag"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

// transcript is what a client printed when it was refused, and when it logged in.
type transcript struct {
	client client
	text   strings.Builder
	silent bool
}

func newTranscript(c client) *transcript {
	s := &transcript{client: c}
	s.text.WriteString("What " + c.name + " prints. Written by go test -update.\n")
	return s
}

// quiet judges as s does and records nothing.
func (s *transcript) quiet() *transcript { return &transcript{client: s.client, silent: true} }

// refused runs a command that must fail and returns what it printed, made comparable.
func (s *transcript) refused(t *testing.T, a actor, what string, c command) string {
	t.Helper()
	out, err := a.run(t, c)
	if err == nil {
		t.Errorf("%s: %s succeeded, want a refusal", what, strings.Join(c.argv, " "))
	}
	return s.record(a, what+": refused", c, out)
}

// accepted runs a command that must succeed.
func (s *transcript) accepted(t *testing.T, a actor, what string, c command) {
	t.Helper()
	s.record(a, what, c, a.must(t, c))
}

func (s *transcript) record(a actor, what string, c command, out string) string {
	if s.client.noise != nil {
		out = s.client.noise.ReplaceAllString(out, "")
	}
	out = normal(a, out)
	if !s.silent {
		name := filepath.Base(c.argv[0])
		args := c.argv[1:]
		if name == "node" { // the program is its script
			name, args = strings.TrimSuffix(strings.TrimSuffix(filepath.Base(c.argv[1]), ".js"), "-cli"), c.argv[2:]
		}
		s.text.WriteString("\n# " + what + "\n$ " + normal(a, strings.Join(append([]string{name}, args...), " ")) + "\n" + out)
	}
	return out
}

// compare holds the transcript to its golden file.
func (s *transcript) compare(t *testing.T) {
	t.Helper()
	path := filepath.Join("testdata", strings.ReplaceAll(strings.ToLower(s.client.name), " ", "-")+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(s.text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.text.String(); got != string(want) {
		t.Errorf("%s: the client printed\n%s\nwant\n%s", path, got, want)
	}
}

// changing are parts of outputs that differ from run to run.
var changing = []struct {
	pattern *regexp.Regexp
	word    string
}{
	{regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]`), ""},
	{regexp.MustCompile(`pkh_[0-9A-Za-z]+`), "TOKEN"},
	{regexp.MustCompile(`[^\s:"']*/packhouse/tools/`), "TOOLS/"},
	{regexp.MustCompile(`CPython \d+\.\d+\.\d+`), "CPython VERSION"},
	{regexp.MustCompile(`sha256:[0-9a-f]{64}`), "sha256:DIGEST"},
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "DIGEST"},
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\d[T _]\d\d[:_]\d\d[:_]\d\d([._,]\d+)?(Z|[+-]\d\d:?\d\d)?`), "TIME"},
	{regexp.MustCompile(`\b\d{4}/\d\d/\d\d \d\d:\d\d:\d\d`), "TIME"},
	{regexp.MustCompile(`\b\d+(\.\d+)? ?(ms|s|µs|seconds)\b`), "DURATION"},
	{regexp.MustCompile(`\b\d+m \d+s\b`), "DURATION"},
}

// normal makes what a client printed the same on every run.
func normal(a actor, out string) string {
	if a.secret != "" {
		out = strings.ReplaceAll(out, a.secret, "SECRET")
	}
	out = strings.ReplaceAll(out, a.Home, "HOME")
	out = strings.ReplaceAll(out, a.Host, "HOST")
	out = strings.ReplaceAll(out, url.QueryEscape(a.Host), "HOST")
	for _, c := range changing {
		out = c.pattern.ReplaceAllString(out, c.word)
	}
	var lines []string
	for line := range strings.SplitSeq(out, "\n") {
		if i := strings.LastIndexByte(strings.TrimRight(line, "\r"), '\r'); i >= 0 { // written over
			line = line[i+1:]
		}
		lines = append(lines, strings.TrimRight(line, " \t\r"))
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n") + "\n"
}
