package consistency

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

var (
	full      = flag.Bool("full", false, "run at the sizes of the published figures")
	seed      = flag.Uint64("seed", uint64(time.Now().UnixNano()), "seed of all random choices; timing stays random")
	sqlite    = flag.Bool("sqlite", false, "run on one process over SQLite, to tell faults of replicas from others")
	histories = flag.String("histories", "", "directory that keeps the histories of violations; empty for the test's own, which vanishes")
)

func TestMain(m *testing.M) {
	flag.Parse()
	fmt.Printf("seed %d\n", *seed)
	os.Exit(m.Run())
}

// size picks how much a test does.
func size(quick, whole int) int {
	if *full {
		return whole
	}
	return quick
}

// span picks how long a test takes.
func span(quick, whole time.Duration) time.Duration {
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
