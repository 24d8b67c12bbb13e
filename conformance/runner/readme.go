package main

import (
	_ "embed"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// README.md is a head and sections. Steps write a section each and leave the others as they are.
var (
	//go:embed README.head.md
	readmeHead string
	//go:embed README.clients.md
	clientsHead string
	//go:embed README.access.md
	accessHead string
	//go:embed README.packages.md
	packagesHead string
	//go:embed README.packageclients.md
	packagesClients string
)

const (
	clientsHeading  = "## Clients of images and other artifacts\n"
	accessHeading   = "## Clients that log in\n"
	packagesHeading = "## Package formats\n"
	replicasHeading = "## Two replicas\n"
)

func headings() []string {
	return []string{clientsHeading, accessHeading, packagesHeading, replicasHeading}
}

// writeSection replaces one section of dir/README.md.
func writeSection(dir, heading, body string) error {
	path := filepath.Join(dir, "README.md")
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(path, []byte(withSection(string(old), heading, body)), 0o644) //nolint:gosec // a document
}

func withSection(old, heading, body string) string {
	var b strings.Builder
	b.WriteString(readmeHead)
	for _, h := range headings() {
		text := section(old, h)
		if h == heading {
			text = "\n" + body
		}
		if text != "" {
			b.WriteString("\n" + h + text)
		}
	}
	return b.String()
}

// section is what stands below a heading, up to the next one.
func section(text, heading string) string {
	_, text, found := strings.Cut(text, "\n"+heading)
	if !found {
		return ""
	}
	for _, h := range headings() {
		text, _, _ = strings.Cut(text, "\n"+h)
	}
	return text
}
