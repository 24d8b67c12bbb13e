package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry/admin"
)

func TestProgress(t *testing.T) {
	t.Parallel()
	states := []admin.Progress{
		{Phase: "check", Done: 0, Total: 4 << 30, Unit: "bytes"},
		{Phase: "check", Done: 1 << 30, Total: 4 << 30, Unit: "bytes"},
		{Phase: "check", Done: 1<<30 + 1, Total: 4 << 30, Unit: "bytes"},
		{Phase: "check", Done: 3 << 30, Total: 4 << 30, Unit: "bytes"},
		{Phase: "collect", Done: 10, Unit: "blobs"},
		{Phase: "collect", Done: 20, Unit: "blobs"},
	}
	after := []time.Duration{0, 6 * time.Second, time.Millisecond, 6 * time.Second, time.Second, 7 * time.Second}
	run := func(terminal bool, width int) string {
		var b bytes.Buffer
		now := time.Unix(1_000_000, 0)
		p := newProgress(&b)
		p.terminal, p.width, p.now = terminal, func() int { return width }, func() time.Time { return now }
		for i, s := range states {
			now = now.Add(after[i])
			p.report(s)
		}
		p.finish()
		return b.String()
	}
	want := `check: 25% 1.0 GiB of 4.0 GiB, 18s left
check: 75% 3.0 GiB of 4.0 GiB, 4s left
collect: 20 blobs, 7s
`
	if diff := cmp.Diff(want, run(false, 0)); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	bars := strings.Split(run(true, 80), "\r\x1b[K")
	wantBars := []string{
		"",
		"check [........................]   0% 0 B of 4.0 GiB, …",
		"check [######..................]  25% 1.0 GiB of 4.0 GiB, 18s left",
		"check [##################......]  75% 3.0 GiB of 4.0 GiB, 4s left",
		"collect: 10 blobs, 0s",
		"collect: 20 blobs, 7s",
		"", // cleared
	}
	if diff := cmp.Diff(wantBars, bars); diff != "" {
		t.Errorf("terminal (-want +got):\n%s", diff)
	}
	for bar := range strings.SplitSeq(run(true, 30), "\r\x1b[K") {
		if len(bar) > 29 {
			t.Errorf("%q wraps", bar)
		}
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 1 << 40: "1.0 TiB", 1 << 60: "1024.0 PiB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %q, want %q", n, got, want)
		}
	}
}
