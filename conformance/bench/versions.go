package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// versions measures what a package with very many versions costs: memory, and the publish of one more.
func versions(ctx context.Context, b *bench) error {
	return b.serve(ctx, "versions", []string{packhouseName}, func(peers map[string]*peer) error {
		p, n := peers[packhouseName], b.amount(5000, 200)
		if err := b.fillVersions(ctx, peers, largePackage, n); err != nil {
			return err
		}
		filled, err := memoryOf(p.pid, "VmHWM")
		if err != nil {
			return err
		}
		for _, kind := range packumentKinds() {
			for _, header := range [][]string{{kind.accept, acceptGzip}, {kind.accept}} {
				if _, err := b.repeat(ctx, p, p.npmFeed()+"/"+largePackage, header, http.StatusOK); err != nil {
					return err
				}
			}
		}
		peak, err := memoryOf(p.pid, "VmHWM")
		if err != nil {
			return err
		}
		b.resident(p, fmt.Sprintf("peak RSS, npm package of %d versions published, %d at a time, and its packument served over %d connections, full and abbreviated, compressed and not",
			n, populateConnections, documentConnections), peak, 100, fmt.Sprintf("(%.3g MiB once published)", filled))
		return b.oneMore(ctx, p, n)
	})
}

// oneMore compares the publish of the next version of a package of n versions with that of a package of few.
func (b *bench) oneMore(ctx context.Context, p *peer, n int) error {
	const few = 5
	fresh := b.amount(20, 4) // packages of few versions in each round, few publishes to each
	name := func(round, i int) string { return fmt.Sprintf("bench-few-%d-%d", round, i) }
	for round := range b.rounds() {
		for i := range fresh {
			if err := publishVersions(ctx, p, name(round, i), 0, few-1); err != nil {
				return err
			}
		}
	}
	type place struct {
		pkg     string
		version int
	}
	at := func(round int, large bool) []place {
		var list []place
		for i := range fresh {
			for k := range few {
				if large {
					list = append(list, place{largePackage, n + (round*fresh+i)*few + k})
				} else {
					list = append(list, place{name(round, i), few - 1 + k})
				}
			}
		}
		return list
	}
	w := []row{
		{name: fmt.Sprintf("npm publish, one at a time, at version %d", few), unit: "versions", peers: []string{packhouseName}},
		{name: fmt.Sprintf("npm publish, one at a time, at version %d", n), unit: "versions", peers: []string{packhouseName}},
	}
	err := b.alternate(ctx, w, func(ctx context.Context, i, round int) (measurement, error) {
		list := at(round, i == 1)
		bodies := make([][]byte, len(list))
		for j, one := range list {
			var err error
			if bodies[j], err = largeVersion(one.pkg, one.version).publication(); err != nil {
				return measurement{}, err
			}
		}
		return measured(p, float64(len(list)), func() ([]time.Duration, error) {
			return each(ctx, p.addr, 1, len(list), func(c *conn, j int) error { return c.publishPackage(p.npmFeed(), list[j].pkg, bodies[j]) })
		})
	})
	if err != nil {
		return err
	}
	b.costs(fmt.Sprintf("npm publish at version %d beside version %d", n, few), w[1], w[0])
	return b.firstPackument(ctx, p, n+b.rounds()*fresh*few)
}

// firstPackument notes how long a large packument takes after a publish.
func (b *bench) firstPackument(ctx context.Context, p *peer, next int) error {
	var took []time.Duration
	for i := range b.rounds() {
		if err := publishVersions(ctx, p, largePackage, next+i, next+i+1); err != nil {
			return err
		}
		header := packumentKinds()[0].accept + "\r\n" + acceptGzip + "\r\n"
		latency, err := each(ctx, p.addr, 1, 1, func(c *conn, _ int) error {
			_, err := c.drop(request{method: http.MethodGet, target: p.npmFeed() + "/" + largePackage, header: header, want: http.StatusOK})
			return err
		})
		if err != nil {
			return err
		}
		took = append(took, latency...)
	}
	b.report.setting("first GET of the full packument after a publish at version %d: median %s, longest %s", next, latency(median(took)), latency(slices.Max(took)))
	return nil
}

// alternate lets the rows, of packhouse alone, take turns, and adds them to the report.
func (b *bench) alternate(ctx context.Context, rows []row, turn func(ctx context.Context, i, round int) (measurement, error)) error {
	for round := range b.rounds() {
		for i := range rows {
			if rows[i].runs == nil {
				rows[i].runs = map[string][]measurement{}
			}
			m, err := b.turn(rows[i], packhouseName, func() (measurement, error) { return turn(ctx, i, round) })
			if err != nil {
				return err
			}
			rows[i].runs[packhouseName] = append(rows[i].runs[packhouseName], m)
		}
	}
	for _, w := range rows {
		b.report.compare(w)
	}
	return nil
}

// costs reports how much longer one unit of a row takes than of the other.
func (b *bench) costs(name string, dear, cheap row) {
	rate := func(w row) float64 { return median(collect(w.runs[packhouseName], measurement.rate)) }
	p50 := func(w row) time.Duration {
		return median(collect(w.runs[packhouseName], func(m measurement) time.Duration { return m.p50 }))
	}
	b.report.atMost(name, rate(cheap)/rate(dear), 1.5, "×", fmt.Sprintf("(p50 %s and %s)", latency(p50(dear)), latency(p50(cheap))))
}
