package s3

import (
	"bytes"
	"io"
	"testing"

	"pgregory.net/rapid"
)

// TestPart: what was filled in, in whatever pieces, is read, again and again,
// from wherever, and memory is in proportion to it.
func TestPart(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 3*blockSize).Draw(t, "limit")
		var want []byte
		b := &part{}
		for range rapid.IntRange(0, 5).Draw(t, "pieces") {
			p := bytes.Repeat([]byte{byte(len(want))}, rapid.IntRange(0, 2*blockSize).Draw(t, "piece"))
			n := b.fill(p, limit)
			if n != min(len(p), limit-len(want)) {
				t.Fatalf("%d of %d bytes taken, %d of %d are full", n, len(p), len(want), limit)
			}
			want = append(want, p[:n]...)
		}
		if most := len(want)/blockSize + 1; len(b.blocks) > most {
			t.Errorf("%d blocks for %d bytes", len(b.blocks), len(want))
		}
		for range 2 {
			off := rapid.IntRange(0, len(want)).Draw(t, "offset")
			if at, err := b.Seek(int64(off), io.SeekStart); err != nil || at != int64(off) {
				t.Fatal(at, err)
			}
			got, err := io.ReadAll(b)
			if err != nil || !bytes.Equal(got, want[off:]) {
				t.Fatalf("got %d bytes of %d, %v", len(got), len(want)-off, err)
			}
		}
		if end, err := b.Seek(0, io.SeekEnd); err != nil || end != int64(len(want)) {
			t.Fatal(end, err)
		}
		b.release()
		if n, err := b.Read(make([]byte, 1)); n != 0 || err != io.EOF { //nolint:errorlint // io.Reader's contract
			t.Errorf("after its release it gives %d, %v", n, err)
		}
	})
}
