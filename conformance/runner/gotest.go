package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/packhouse/packhouse/conformance/tools"
)

// event is one line of `go test -json`.
type event struct {
	Action, Package, Test, Output string
	Key, Value                    string // of the action attr
	Elapsed                       float64
}

func parseEvents(out []byte) []event {
	var events []event
	for line := range bytes.Lines(out) {
		var ev event
		// A build failure prints plain lines between the events; it is in the command's error.
		if json.Unmarshal(line, &ev) == nil {
			events = append(events, ev)
		}
	}
	return events
}

// verdicts makes a result of every test at the given depth (1: TestName, 2: TestName/case), in the order of their names.
// The error of a failed one is what it and its failed cases printed.
func verdicts(events []event, depth int) []result {
	ended := map[string]event{} // by test
	printed := map[string]*strings.Builder{}
	for _, ev := range events {
		if ev.Test == "" {
			continue
		}
		id := ev.Package + " " + ev.Test
		if printed[id] == nil {
			printed[id] = new(strings.Builder)
		}
		printed[id].WriteString(ev.Output)
		if ev.Action == "pass" || ev.Action == "fail" || ev.Action == "skip" {
			ended[id] = ev
		}
	}
	var results []result
	for _, id := range slices.Sorted(maps.Keys(ended)) {
		ev := ended[id]
		if strings.Count(ev.Test, "/") != depth-1 {
			continue
		}
		r := result{name: ev.Test, took: time.Duration(ev.Elapsed * float64(time.Second))}
		switch ev.Action {
		case "fail":
			r.err = errors.New(lastLines(failureText(id, ended, printed), 300))
		case "skip":
			r.err = errors.New("a skipped test is a failed one here\n" + printed[id].String())
		}
		results = append(results, r)
	}
	return results
}

func failureText(id string, ended map[string]event, printed map[string]*strings.Builder) string {
	var text strings.Builder
	for _, other := range slices.Sorted(maps.Keys(printed)) {
		if (other == id || strings.HasPrefix(other, id+"/")) && ended[other].Action != "pass" {
			text.WriteString(printed[other].String())
		}
	}
	return text.String()
}

func vet(ctx context.Context, e *environment) []result {
	goVet := func(name, dir string) result {
		return measure(name, func() (string, error) {
			_, err := e.command(ctx, strings.ReplaceAll(name, " ", "-"), dir, nil, "go", "vet", "./...")
			return "", err
		})
	}
	return []result{goVet("vet", e.root), goVet("vet conformance", e.module)}
}

func unitTests(ctx context.Context, e *environment) []result {
	return []result{
		measure("unit tests", func() (string, error) {
			s3, err := tools.Find("versitygw")
			if err != nil {
				return "", err
			}
			server, err := s3.Path()
			if err != nil {
				return "", err
			}
			out, err := e.command(ctx, "unit", e.root, []string{"PACKHOUSE_REQUIRE_CLIENTS=1", "PACKHOUSE_S3_SERVER=" + server}, "go", "test", "-race", "-shuffle=on", "-count=1", "-json", "./...")
			return countTests(out, err)
		}),
		measure("harness tests", func() (string, error) {
			out, err := e.command(ctx, "harness", e.module, nil, "go", "test", "-race", "-shuffle=on", "-count=1", "-json", "./packhouse", "./services", "./runner", "./tools", "./bench")
			return countTests(out, err)
		}),
	}
}

// countTests replaces the wall of JSON in a failure by what the failed tests printed.
func countTests(out []byte, failure error) (string, error) {
	events := parseEvents(out)
	passed, failed := 0, 0
	var text strings.Builder
	for _, r := range verdicts(events, 1) {
		if r.err == nil {
			passed++
			continue
		}
		failed++
		fmt.Fprintf(&text, "%s\n%s\n", r.name, r.err)
	}
	note := fmt.Sprintf("%d tests", passed+failed)
	switch {
	case failed > 0:
		return note, errors.New(text.String())
	case failure != nil:
		for _, ev := range events {
			if ev.Action == "output" && ev.Test == "" || ev.Action == "build-output" {
				text.WriteString(ev.Output)
			}
		}
		return note, fmt.Errorf("no test failed, but the run did\n%s", lastLines(text.String(), 100))
	case passed == 0:
		return note, errors.New("no test was found")
	}
	return note, nil
}

func adopt(ctx context.Context, e *environment) []result {
	_, results := e.goTest(ctx, "adopt", "10m", "./adopt")
	return results
}

func crash(ctx context.Context, e *environment) []result {
	_, results := e.goTest(ctx, "crash", "20m", "./crash")
	return results
}

func api(ctx context.Context, e *environment) []result {
	_, results := e.goTest(ctx, "api", "10m", "./api")
	return results
}

func openID(ctx context.Context, e *environment) []result {
	_, results := e.goTest(ctx, "oidc", "10m", "./oidc")
	return results
}

func consistency(ctx context.Context, e *environment) []result {
	_, results := e.goTest(ctx, "consistency", "20m", "./consistency")
	return results
}

func consistencyFull(ctx context.Context, e *environment) []result {
	_, results := e.goTest(ctx, "consistency-full", "3h", "./consistency", "-args", "-full", "-histories", filepath.Join(e.logs, "histories"))
	return results
}

func secrets(ctx context.Context, e *environment) []result {
	_, results := e.goTest(ctx, "secrets", "10m", "./secrets")
	return results
}

// goTest runs one of this module's test packages and makes a result of every test.
func (e *environment) goTest(ctx context.Context, name, timeout string, args ...string) ([]byte, []result) {
	return e.goTestEnv(ctx, name, nil, timeout, args...)
}

// goTestEnv is goTest with variables added to the environment.
func (e *environment) goTestEnv(ctx context.Context, name string, env []string, timeout string, args ...string) ([]byte, []result) {
	out, err := e.command(ctx, name, e.module, env,
		append([]string{"go", "test", "-json", "-count=1", "-timeout=" + timeout}, args...)...)
	results := verdicts(parseEvents(out), 1)
	for i := range results {
		results[i].name = name + " " + strings.TrimPrefix(results[i].name, "Test")
	}
	switch {
	case len(results) == 0:
		return out, []result{{name: name, err: errors.Join(errors.New("no test ran"), err)}}
	case err != nil && !slices.ContainsFunc(results, failed):
		results = append(results, result{name: name, err: fmt.Errorf("no test failed, but the run did: %w", err)})
	}
	return out, results
}

// fuzzLanes is how many fuzz targets run at a time, each with one worker.
const fuzzLanes = 2

func fuzz(ctx context.Context, e *environment) []result {
	budget := os.Getenv("FUZZTIME")
	if budget == "" {
		budget = "30s"
	}
	list, err := e.command(ctx, "fuzz-list", e.root, nil, "go", "test", "-json", "-list", "^Fuzz", "./...")
	if err != nil {
		return []result{{name: "fuzz", err: err}}
	}
	var targets []event
	for _, ev := range parseEvents(list) {
		if ev.Action == "output" && strings.HasPrefix(ev.Output, "Fuzz") {
			targets = append(targets, ev)
		}
	}
	if len(targets) == 0 {
		return []result{{name: "fuzz", err: errors.New("no fuzz target was found")}}
	}
	results := make([]result, len(targets))
	var next atomic.Int64
	var lanes sync.WaitGroup
	for range fuzzLanes {
		lanes.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(targets); i = next.Add(1) - 1 {
				results[i] = e.fuzzTarget(ctx, targets[i].Package, strings.TrimSpace(targets[i].Output), budget)
			}
		})
	}
	lanes.Wait()
	return results
}

func (e *environment) fuzzTarget(ctx context.Context, pkg, target, budget string) result {
	name := path.Base(pkg) + " " + target
	return measure("fuzz "+name, func() (string, error) {
		run := func() ([]byte, error) {
			return e.command(ctx, "fuzz-"+strings.ReplaceAll(name, " ", "-"), e.root, nil,
				"go", "test", "-run", "^$", "-fuzz", "^"+target+"$", "-fuzztime", budget, "-parallel=1", pkg)
		}
		out, err := run()
		if err != nil && endedLate(out) {
			_, err = run()
		}
		return "for " + budget, err
	})
}

// endedLate recognises a fuzz run that found nothing, but whose workers were
// busy when the time was up: go test calls that a failure.
func endedLate(out []byte) bool {
	return bytes.Contains(out, []byte("context deadline exceeded")) && !bytes.Contains(out, []byte("Failing input"))
}
