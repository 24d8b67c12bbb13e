package packhouse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// BinaryEnv names the environment variable that holds the path of a binary to test instead of one built from the tree.
const BinaryEnv = "PACKHOUSE_BIN"

const rootModule = "module github.com/packhouse/packhouse\n"

var built struct {
	sync.Mutex
	path string
}

// Binary returns the path of the binary under test: the value of PACKHOUSE_BIN, or else ./cmd/packhouse of the tree
// around the working directory, built once per process into the user's cache directory.
func Binary(ctx context.Context) (string, error) {
	if path := os.Getenv(BinaryEnv); path != "" {
		return filepath.Abs(path)
	}
	built.Lock()
	defer built.Unlock()
	if built.path != "" {
		return built.path, nil
	}
	path, err := build(ctx)
	if err != nil {
		return "", err
	}
	built.path = path
	return path, nil
}

// Root returns the directory of the main module, found upwards from the working directory.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.HasPrefix(mod, []byte(rootModule)) {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no directory above this one holds the packhouse module: run inside the repository or set " + BinaryEnv)
		}
		dir = parent
	}
}

func build(ctx context.Context) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cache = filepath.Join(cache, "packhouse", "build")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	// Two test binaries may build at once and an older binary may be running: link under an own name, then rename.
	fresh := filepath.Join(cache, fmt.Sprintf("packhouse.%d", os.Getpid()))
	cmd := exec.CommandContext(ctx, "go", "build", "-o", fresh, "./cmd/packhouse")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./cmd/packhouse: %w\n%s", err, out)
	}
	path := filepath.Join(cache, "packhouse")
	if err := os.Rename(fresh, path); err != nil {
		return "", err
	}
	return path, nil
}
