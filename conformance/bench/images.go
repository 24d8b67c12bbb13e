package main

import (
	"context"
	"fmt"
	"time"
)

const imageLayers = 2

// images measures the push of small images, where all the time goes into requests and into making each of them durable.
func images(ctx context.Context, b *bench) error {
	names := []string{packhouseName, distributionName}
	total := b.amount(5000, 300)
	turn := total / b.rounds()
	return b.serve(ctx, "images", names, func(peers map[string]*peer) error {
		w := row{
			name:    fmt.Sprintf("push of %d small images, %d at a time", total, pushConnections),
			unit:    "images",
			peers:   names,
			targets: []target{{distributionName, 1.5}},
		}
		b.report.setting("small image: a config and %d layers of %d KiB, each with content of its own, and a manifest; for each blob HEAD, POST, PUT, one after the other, then PUT of the manifest by tag; 100 images per repository; all peers answer when the content is durable", imageLayers, smallBlob>>10)
		return b.turns(ctx, w, func(ctx context.Context, peer string, round int) (measurement, error) {
			batch := make([]image, turn)
			for i := range batch {
				var err error
				if batch[i], err = newImage(uint64(1000+round*turn+i), imageLayers); err != nil {
					return measurement{}, err
				}
			}
			p := peers[peer]
			return measured(p, float64(turn), func() ([]time.Duration, error) {
				return each(ctx, p.addr, pushConnections, turn, func(c *conn, i int) error {
					n := round*turn + i
					return c.pushImage(fmt.Sprintf("bench/small-%02d", n/100), fmt.Sprintf("v%d", n), batch[i])
				})
			})
		})
	})
}
