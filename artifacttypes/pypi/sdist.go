package pypi

import (
	"context"
	"io"
	"path"
	"strings"

	"github.com/packhouse/packhouse/artifacttypes"
)

// inspectSdist reads a source distribution: the specification of that name,
// and the forms before it.
func inspectSdist(ctx context.Context, file string, r io.ReaderAt, size int64) (*fileFacts, error) {
	var text []byte
	var err error
	if strings.HasSuffix(file, ".zip") {
		text, err = zipInfo(ctx, file, r, size)
	} else {
		text, err = tarInfo(ctx, file, r, size)
	}
	if err != nil {
		return nil, in(file, err)
	}
	m, err := parseMetadata("PKG-INFO", text)
	if err != nil {
		return nil, in(file, err)
	}
	name, _ := canonicalName(m.Name)
	version, _ := canonicalVersion(m.Version)
	if !sdistIs(file, name, version) {
		return nil, artifacttypes.Invalid("%s holds %s %s by its PKG-INFO: the file must be named %s-%s.tar.gz",
			file, clip(m.Name), clip(m.Version), strings.ReplaceAll(name, "-", "_"), version)
	}
	return &fileFacts{Kind: sdistKind, Name: name, Version: version, Metadata: &m}, nil
}

// infoPath tells whether name is that of a PKG-INFO in a folder at the root,
// and whether it would be on a file system that folds case.
func infoPath(name string) (exact, folded bool) {
	const file = "PKG-INFO"
	folder, base, ok := strings.Cut(path.Clean(name), "/")
	return ok && base == file && folder != "..", ok && strings.EqualFold(base, file)
}

func zipInfo(ctx context.Context, file string, r io.ReaderAt, size int64) ([]byte, error) {
	if isTar(r, size) {
		return nil, artifacttypes.Invalid("it is a tar archive, too")
	}
	a, err := openZip(ctx, r, size)
	if err != nil {
		return nil, err
	}
	var info *member
	for i := range a.members {
		m := &a.members[i]
		exact, folded := infoPath(m.name)
		if folded && (!exact || info != nil) {
			return nil, errTwoInfos()
		}
		if exact {
			info = m
		}
	}
	if info == nil {
		return nil, noInfo(file)
	}
	text, _, err := a.read(info, maxMetadata)
	return text, err
}

func errTwoInfos() error {
	return artifacttypes.Invalid("it has more than one PKG-INFO, or one in other letters")
}

func noInfo(file string) error {
	folder := strings.TrimSuffix(strings.TrimSuffix(file, ".tar.gz"), ".zip")
	return artifacttypes.Invalid("it has no %s/PKG-INFO: build it with a PEP 517 build tool", folder)
}
