package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/packhouse/packhouse/conformance/packhouse"
)

// everything lists the suite's settings that are off by default, and on here.
func everything() []string {
	return []string{
		"OCI_VERSION=dev",
		"OCI_API_BLOBS_UPLOAD_CANCEL=true",
		"OCI_API_BLOBS_DIGEST_HEADER=true",
		"OCI_API_MANIFESTS_DIGEST_HEADER=true",
		"OCI_API_MANIFESTS_TAG_PARAM=true",
		"OCI_API_BLOBS_ATOMIC=true",
		"OCI_API_MANIFESTS_ATOMIC=true",
		"OCI_API_TAGS_ATOMIC=true",
		"OCI_DATA_SHA512=true",
	}
}

const sparseLine = "Sparse Manifests"

// suites runs the official suite against the default configuration, which refuses a manifest whose blobs are not there,
// and again, with the data that needs it, against the one that takes it.
func suites(ctx context.Context, e *environment) []result {
	return suitesOf(ctx, e, "", 1)
}

// suitesOf runs both against servers of so many replicas.
func suitesOf(ctx context.Context, e *environment, suffix string, replicas int) []result {
	return []result{
		measure("OCI suite"+strings.ReplaceAll(suffix, "-", ", "), func() (string, error) {
			return suite(ctx, e, "oci"+suffix, replicas, nil, append(everything(), "OCI_DATA_SPARSE=false"), []string{sparseLine})
		}),
		measure("OCI suite, sparse"+strings.ReplaceAll(suffix, "-", ", "), func() (string, error) {
			return suite(ctx, e, "oci-sparse"+suffix, replicas, []string{"PACKHOUSE_MANIFESTS__SPARSE=true"}, append(everything(), "OCI_DATA_SPARSE=true"), nil)
		}),
	}
}

func suite(ctx context.Context, e *environment, name string, replicas int, server, settings, disabled []string) (note string, err error) {
	dir, err := os.MkdirTemp("", "packhouse-"+name)
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	s, err := packhouse.Start(ctx, packhouse.Options{Data: filepath.Join(dir, "data"), Env: server, Replicas: replicas})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	env := append(settings, "OCI_REGISTRY="+s.Host, "OCI_TLS=disabled", "OCI_REPO1=conformance/one", "OCI_REPO2=conformance/two",
		"OCI_RESULTS_DIR="+filepath.Join(e.logs, name))
	// The suite's exit status says nothing when it could not start: its report decides.
	out, _ := e.command(ctx, name, e.module, env, "go", "tool", "github.com/opencontainers/distribution-spec/conformance")
	return judge(string(out), disabled)
}

var reportLine = regexp.MustCompile(`(?m)^  ([A-Z].*?)\.+: +(\S+)$`)

// judge reads the suite's report: every line passes and nothing is skipped or disabled, but for the named lines, which
// must be.
func judge(report string, disabled []string) (string, error) {
	_, summary, found := strings.Cut(report, "\nOCI Conformance Result: ")
	if !found {
		return "", fmt.Errorf("the suite printed no result\n%s", lastLines(report, 50))
	}
	lines, checks := 0, "?"
	var wrong []string
	for _, match := range reportLine.FindAllStringSubmatch(summary, -1) {
		name, value := match[1], match[2]
		want := "Pass"
		switch {
		case name == "Total":
			checks = value
			continue
		case name == "Pass":
			continue
		case name == "Disabled", name == "Skip", name == "FAIL", name == "Error":
			want = "0"
		case slices.Contains(disabled, name):
			want = "Disabled"
			lines++
		default:
			lines++
		}
		if value != want {
			wrong = append(wrong, fmt.Sprintf("%s is %s, want %s", name, value, want))
		}
	}
	note := fmt.Sprintf("%s checks, %d lines", checks, lines)
	switch {
	case len(wrong) > 0:
		return note, fmt.Errorf("%s\n%s", strings.Join(wrong, "\n"), failures(report))
	case lines == 0:
		return note, errors.New("the suite's report has no lines")
	}
	return note, nil
}

// failures picks the leaf errors from the report's tree: lines that begin with a dash, and the name above them.
func failures(report string) string {
	var b strings.Builder
	name := ""
	for line := range strings.Lines(report) {
		if strings.HasPrefix(strings.TrimSpace(line), "- ") {
			b.WriteString(name + line)
			name = ""
		} else {
			name = line
		}
	}
	return lastLines(b.String(), 100)
}
