package meta

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/packhouse/packhouse/storage/meta/metatest"
)

// BenchmarkCommits measures durable changes a second of one row and one stripe
// each, by 1 and 16 writers in one and two processes: what one total order
// costs. PostgreSQL flushes its log.
func BenchmarkCommits(b *testing.B) {
	server := metatest.NewServer(b, "fsync = on")
	for _, processes := range []int{0, 1, 2} { // 0: SQLite
		for _, writers := range []int{1, 16} {
			b.Run(fmt.Sprintf("processes=%d/writers=%d", processes, writers), func(b *testing.B) {
				c := Config{Dir: filepath.Join(b.TempDir())}
				if processes > 0 {
					c = Config{URL: server.Database(b)}
				}
				list := make([]*Store, max(processes, 1))
				for i := range list {
					s, err := Open(b.Context(), c)
					if err != nil {
						b.Fatal(err)
					}
					defer func() { _ = s.Close() }()
					list[i] = s
				}
				var n atomic.Int64
				var wg sync.WaitGroup
				b.ResetTimer()
				for w := range writers {
					wg.Go(func() {
						for {
							i := n.Add(1)
							if i > int64(b.N) {
								return
							}
							err := list[w%len(list)].Update(b.Context(), Options{Durable: true, Unaudited: true}, func(ctx context.Context, tx *Tx) error {
								if _, err := tx.AddGroup(ctx, fmt.Sprint("g", i), ""); err != nil {
									return err
								}
								return tx.TouchStripes(ctx, int(i%Stripes))
							})
							if err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
			})
		}
	}
}
