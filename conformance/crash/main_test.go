package crash

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

var (
	full = flag.Bool("full", false, "run at the sizes of the published figures, fault injection included")
	seed = flag.Uint64("seed", uint64(time.Now().UnixNano()), "seed of all random choices; timing stays random")
	peer = flag.String("peer", "", "path of distribution's registry binary: run the kill and power-cut tests on it instead, for comparison")
)

// insideEnv marks the process that already has a mount namespace of its own.
const insideEnv = "PACKHOUSE_CRASH_INSIDE"

// TestMain runs the tests in a child with its own mount namespace, so that no
// mount survives a test that panicked or was killed.
func TestMain(m *testing.M) {
	flag.Parse()
	if os.Getenv(insideEnv) != "" || os.Geteuid() != 0 {
		fmt.Printf("seed %d\n", *seed)
		os.Exit(m.Run())
	}
	child := exec.Command("/proc/self/exe", os.Args[1:]...)
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	child.Env = append(os.Environ(), insideEnv+"=1")
	child.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err := child.Run()
	var status *exec.ExitError
	switch {
	case errors.As(err, &status):
		os.Exit(max(1, status.ExitCode()))
	case err != nil:
		fmt.Fprintln(os.Stderr, "start the tests in a mount namespace:", err)
		os.Exit(1)
	}
}

// size picks how much a test does.
func size(quick, whole int) int {
	if *full {
		return whole
	}
	return quick
}

// dice returns the generator number n of this run.
func dice(n int) *rand.Rand { return rand.New(rand.NewPCG(*seed, uint64(n))) }

// between returns a random duration from lo to hi.
func between(r *rand.Rand, lo, hi time.Duration) time.Duration {
	return lo + time.Duration(r.Int64N(int64(hi-lo)))
}
