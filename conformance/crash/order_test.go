package crash

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/packhouse/packhouse/conformance/packhouse"
)

// TestSyncOrder reads off the server's system calls that before each 201 or
// 202 every new file was fsynced, then its directory, then the database's log.
// ext4 happens to make directory entries durable with the file, so no power
// cut on it shows whether the server relies on that.
//
// Seen red: without the fsync of an object's directory.
func TestSyncOrder(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	n := mustStart(t, data, packhouse.Options{})
	w := team(1, []int{4 << 10, 600 << 10}, func(err error) { t.Error(err) })[0]
	w.c = newClient(n.url)
	defer w.c.close()
	repo := w.repos[0]
	for range 3 {
		w.pushWhole(w.repos[1])
		w.pushWhole(repo)
		w.pushTagged(repo)
	}
	for i, do := range w.tour() {
		before := acknowledged([]*worker{w})
		tr := attach(t, n, "-y", "-s", "16", "-e", "trace=openat,fsync,fdatasync,write,unlinkat,unlink")
		do(repo)
		tr.stop(t)
		if acknowledged([]*worker{w}) == before {
			t.Errorf("operation %d of the tour was not done", i)
			continue
		}
		log, err := os.ReadFile(tr.out)
		if err != nil {
			t.Fatal(err)
		}
		if err := ordered(string(log), data); err != nil {
			t.Errorf("operation %d of the tour: %v\n%s", i, err, tail(string(log)))
		}
	}
}

var (
	tracedCall   = regexp.MustCompile(`^(\d+) +(\w+)\((.*)$`)
	tracedResume = regexp.MustCompile(`^(\d+) +<\.\.\. (\w+) resumed>(.*)$`)
	tracedFD     = regexp.MustCompile(`^\d+<([^>]*)>`)
	tracedOpen   = regexp.MustCompile(`"([^"]*)", [^)]*O_CREAT`)
	tracedPath   = regexp.MustCompile(`"([^"]*)"`)
)

// ordered checks one operation's trace, whose last success status is the
// answer to it.
func ordered(log, data string) error {
	synced := map[string]int{}  // path → when it was fsynced last
	created := map[string]int{} // path → when
	began := map[string]string{}
	answered := 0
	for at, line := range strings.Split(log, "\n") {
		at++
		var pid, call, args string
		if m := tracedResume.FindStringSubmatch(line); m != nil {
			pid, call = m[1], m[2]
			args = began[pid] + m[3]
		} else if m := tracedCall.FindStringSubmatch(line); m != nil {
			pid, call, args = m[1], m[2], m[3]
			if head, unfinished := strings.CutSuffix(args, " <unfinished ...>"); unfinished {
				began[pid] = head
				continue
			}
		}
		switch call {
		case "openat":
			if m := tracedOpen.FindStringSubmatch(args); m != nil && strings.HasPrefix(m[1], data) {
				created[m[1]] = at
			}
		case "unlinkat", "unlink":
			if m := tracedPath.FindStringSubmatch(args); m != nil {
				delete(created, m[1])
			}
		case "fsync", "fdatasync":
			if m := tracedFD.FindStringSubmatch(args); m != nil && strings.HasSuffix(line, "= 0") {
				synced[m[1]] = at
			}
		case "write":
			if strings.Contains(args, `"HTTP/1.1 201`) || strings.Contains(args, `"HTTP/1.1 202`) {
				answered = at
			}
		}
	}
	log0 := 0
	for path, at := range synced {
		if strings.HasSuffix(path, "-wal") {
			log0 = at
		}
	}
	if log0 == 0 || answered < log0 {
		return fmt.Errorf("the database's log was fsynced at line %d, the answer was written at line %d", log0, answered)
	}
	for path := range created {
		file, dir := synced[path], synced[filepath.Dir(path)]
		if file == 0 || dir < file || log0 < dir {
			return fmt.Errorf("%s was fsynced at line %d, its directory at %d, the database's log at %d", path, file, dir, log0)
		}
	}
	return nil
}
