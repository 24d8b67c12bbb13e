package services

import (
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// scratch makes a directory that is removed when this process ends, however it ends: a shell waits for the end of the
// pipe that only this process holds.
func scratch() (dir string, err error) {
	dir, err = os.MkdirTemp("", "packhouse-services-")
	if err != nil {
		return "", err
	}
	// PostgreSQL's user passes through.
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // nothing secret is in it
		return "", err
	}
	hold, wait, err := os.Pipe()
	if err != nil {
		return "", err
	}
	// Servers that get their signal at the same time may still be writing. What cannot be removed by then stays.
	cmd := exec.Command("sh", "-c", `read _; for _ in 1 2 3 4 5 6 7 8 9 10; do rm -rf "$1" 2>/dev/null && break; sleep 0.2; done`, "sh", dir) //nolint:gosec,noctx // it outlives every context
	cmd.Stdin = hold
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	go func() { _ = cmd.Wait() }()
	keep(wait)
	return dir, hold.Close()
}

// pipes are held open until the process ends: a collected *os.File is a closed one.
var pipes struct {
	sync.Mutex
	open []io.Writer
}

func keep(pipe io.Writer) {
	pipes.Lock()
	defer pipes.Unlock()
	pipes.open = append(pipes.open, pipe)
}
