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

// turns lets the peers of w take turns and adds the row to the report. The rounds go to w.runs where it is a map.
func (b *bench) turns(ctx context.Context, w row, turn func(ctx context.Context, peer string, round int) (measurement, error)) error {
	w.peers = b.among(w.peers...)
	if w.runs == nil {
		w.runs = map[string][]measurement{}
	}
	for round := range b.rounds() {
		for _, peer := range w.peers {
			m, err := b.turn(w, peer, func() (measurement, error) { return turn(ctx, peer, round) })
			if err != nil {
				return err
			}
			w.runs[peer] = append(w.runs[peer], m)
		}
	}
	b.report.compare(w)
	return nil
}

// turn takes one.
func (b *bench) turn(w row, peer string, do func() (measurement, error)) (measurement, error) {
	// What the last one left to be written is not this one's burden.
	syscall.Sync()
	m, err := do()
	if err != nil {
		return m, fmt.Errorf("%s: %w", w.name, err)
	}
	fmt.Fprintf(b.log, "   %s, %s: %s %s/s, p50 %s, p99 %s\n", w.name, peer, number(m.rate()), w.unit, latency(m.p50), latency(m.p99))
	return m, nil
}

// amount is full, or a small part of it in a quick run.
func (b *bench) amount(full, quick int) int {
	if b.quick {
		return quick
	}
	return full
}
