package main

import (
	"context"
	"fmt"
	"syscall"
)

// rounds is how many turns each peer gets.
func (b *bench) rounds() int {
	if b.quick {
		return 3
	}
	return 5
}

// turns lets the peers of w take turns and adds the row to the report.
func (b *bench) turns(ctx context.Context, w row, turn func(ctx context.Context, peer string, round int) (measurement, error)) error {
	w.peers, w.runs = b.among(w.peers...), map[string][]measurement{}
	for round := range b.rounds() {
		for _, peer := range w.peers {
			// What the last one left to be written is not this one's burden.
			syscall.Sync()
			m, err := turn(ctx, peer, round)
			if err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			w.runs[peer] = append(w.runs[peer], m)
			fmt.Fprintf(b.log, "   %s, %s: %s %s/s, p50 %s, p99 %s\n", w.name, peer, number(m.rate()), w.unit, latency(m.p50), latency(m.p99))
		}
	}
	b.report.compare(w)
	return nil
}

// amount is full, or a small part of it in a quick run.
func (b *bench) amount(full, quick int) int {
	if b.quick {
		return quick
	}
	return full
}
