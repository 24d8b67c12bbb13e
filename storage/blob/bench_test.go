package blob

import (
	"bytes"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
)

// BenchmarkPut stores objects of 4 KiB durably, as pushes of small images do.
func BenchmarkPut(b *testing.B) {
	content := make([]byte, 4<<10)
	b.Run("one", func(b *testing.B) {
		s := open(b, "filesystem")
		b.SetBytes(int64(len(content)))
		for i := 0; b.Loop(); i++ {
			if err := s.Put(b.Context(), fmt.Sprintf("/objects/ab/%d", i), content); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parallel", func(b *testing.B) {
		s := open(b, "filesystem")
		b.SetBytes(int64(len(content)))
		b.SetParallelism(4)
		var i atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := s.Put(b.Context(), fmt.Sprintf("/objects/ab/%d", i.Add(1)), content); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}

// BenchmarkStream writes objects of 1 MiB through a Writer, 32 KiB at a time.
func BenchmarkStream(b *testing.B) {
	s := open(b, "filesystem")
	chunk := make([]byte, 32<<10)
	b.SetBytes(1 << 20)
	for i := 0; b.Loop(); i++ {
		w, err := s.Create(b.Context(), fmt.Sprintf("/objects/ab/%d", i))
		if err != nil {
			b.Fatal(err)
		}
		for w.Size() < 1<<20 {
			if _, err := w.Write(chunk); err != nil {
				b.Fatal(err)
			}
		}
		if err := w.Commit(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRead opens and reads an object of 1 MiB.
func BenchmarkRead(b *testing.B) {
	s := open(b, "filesystem")
	segs := []Segment{{"/objects/ab/x", 1 << 20}}
	put(b, s, segs[0].Key, string(make([]byte, segs[0].Size)))
	var to bytes.Buffer
	b.SetBytes(segs[0].Size)
	for b.Loop() {
		rc, err := s.Read(b.Context(), segs, 0, -1)
		if err != nil {
			b.Fatal(err)
		}
		to.Reset()
		if _, err := io.Copy(&to, rc); err != nil {
			b.Fatal(err)
		}
		if err := rc.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
