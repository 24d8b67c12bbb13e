package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// row is one thing that several peers do in turns.
type row struct {
	name    string
	unit    string // of the work: "requests"; the rate is this per second
	peers   []string
	runs    map[string][]measurement // by peer, one per round
	targets []target
}

// target is the least that packhouse's rate may be of a peer's.
type target struct {
	peer  string
	least float64
}

// report collects figures and verdicts as lines of Markdown tables.
type report struct {
	settings, configurations, measured, verdicts []string
}

func (r *report) setting(format string, a ...any) {
	r.settings = append(r.settings, "- "+fmt.Sprintf(format, a...))
}

func (r *report) configuration(name, language, content string) {
	r.configurations = append(r.configurations, fmt.Sprintf("%s:\n\n```%s\n%s```\n", name, language, content))
}

// compare adds a row: the medians of its rounds, and how they stand to the targets.
func (r *report) compare(w row) {
	for _, peer := range w.peers {
		runs := w.runs[peer]
		rates := collect(runs, measurement.rate)
		r.measured = append(r.measured, fmt.Sprintf("| %s | %s | %s %s/s | %s – %s | %s | %s | %s | %s |", w.name, peer,
			number(median(rates)), w.unit, number(slices.Min(rates)), number(slices.Max(rates)),
			latency(median(collect(runs, func(m measurement) time.Duration { return m.p50 }))),
			latency(median(collect(runs, func(m measurement) time.Duration { return m.p99 }))),
			cost(runs, func(m measurement) time.Duration { return m.server }, w.unit),
			share(runs)))
	}
	own := w.runs[packhouseName]
	for _, t := range w.targets {
		runs := w.runs[t.peer]
		if len(own) == 0 || len(runs) == 0 {
			continue // not among the peers asked for
		}
		ratio := median(collect(own, measurement.rate)) / median(collect(runs, measurement.rate))
		r.verdict(w.name, fmt.Sprintf("≥ %g × %s", t.least, t.peer), fmt.Sprintf("%.2f ×", ratio), ratio >= t.least)
	}
}

// atMost adds a figure that has a limit of its own.
func (r *report) atMost(name string, got, limit float64, unit, note string) {
	r.verdict(name, fmt.Sprintf("≤ %g %s", limit, unit), strings.TrimSpace(fmt.Sprintf("%s %s %s", number(got), unit, note)), got <= limit)
}

func (r *report) verdict(name, target, got string, met bool) {
	word := "**not met**"
	if met {
		word = "met"
	}
	r.verdicts = append(r.verdicts, fmt.Sprintf("| %s | %s | %s | %s |", name, target, got, word))
}

// markdown is the whole report; failed is what could not be measured.
func (r *report) markdown(failed error) string {
	var b strings.Builder
	section := func(title string, head string, lines []string) {
		if len(lines) > 0 {
			fmt.Fprintf(&b, "## %s\n\n%s%s\n\n", title, head, strings.Join(lines, "\n"))
		}
	}
	section("Targets", "| what | target | measured | |\n| --- | --- | --- | --- |\n", r.verdicts)
	section("Figures", "| what | peer | median | least – most | p50 | p99 | server CPU | loader CPU |\n| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n", r.measured)
	if failed != nil {
		section("Errors", "", []string{"```", failed.Error(), "```"})
	}
	section("How", "", slices.Concat([]string{
		"- peers take turns; rates and latencies are medians of the rounds; latencies are of one request, or of one push or listing as a whole",
		"- server CPU: processor time of the server for one unit of work; loader CPU: of one processor, during the load",
	}, r.settings))
	section("Configurations", "packhouse has no configuration: its defaults, access log on, over plain HTTP.\n\n", r.configurations)
	return b.String()
}

func collect[T any](runs []measurement, f func(measurement) T) []T {
	var values []T
	for _, m := range runs {
		values = append(values, f(m))
	}
	return values
}

// median of an even number of values is the mean of the two in the middle.
func median[T float64 | time.Duration](values []T) T {
	s := slices.Sorted(slices.Values(values))
	if len(s)%2 == 1 {
		return s[len(s)/2]
	}
	return (s[len(s)/2-1] + s[len(s)/2]) / 2
}

func number(f float64) string {
	if f >= 100 {
		return fmt.Sprintf("%.0f", f)
	}
	return fmt.Sprintf("%.3g", f)
}

func latency(d time.Duration) string { return number(d.Seconds()*1000) + " ms" }

// cost is the server's processor time for one unit of work.
func cost(runs []measurement, of func(measurement) time.Duration, unit string) string {
	var used time.Duration
	var work float64
	for _, m := range runs {
		used, work = used+of(m), work+m.work
	}
	if used == 0 {
		return "–"
	}
	return fmt.Sprintf("%s µs/%s", number(float64(used.Microseconds())/work), strings.TrimSuffix(unit, "s"))
}

// share is the loader's use of one processor.
func share(runs []measurement) string {
	var used, took time.Duration
	for _, m := range runs {
		used, took = used+m.loader, took+m.took
	}
	if used == 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f %%", 100*used.Seconds()/took.Seconds())
}
