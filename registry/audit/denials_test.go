package audit

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/packhouse/packhouse/registry"
)

func as(ctx context.Context, principal, address, route string) context.Context {
	return registry.WithCaller(ctx, &registry.Caller{Principal: principal, Address: address, Route: route, Token: "t", RequestID: "first", Identity: 1})
}

func TestRefusalsAreSummedUp(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	d := f.Denials()
	alice := as(t.Context(), "user:alice", "192.0.2.1", "manifest_put")
	d.Note(alice, registry.Create, "acme/a", registry.Denied)
	f.now = f.now.Add(10 * time.Second)
	d.Note(alice, registry.Delete, "acme/b", registry.NameUnknown)
	d.Note(as(t.Context(), "user:alice", "192.0.2.2", "manifest_put"), registry.Create, "acme/a", registry.Denied)
	d.Note(as(t.Context(), "user:alice", "192.0.2.1", "manifest_get"), registry.Read, "acme/a", registry.NameUnknown)
	f.now = f.now.Add(10 * time.Second)
	d.Note(alice, registry.Create, "acme/c", registry.Denied)
	d.LoginFailed(registry.WithCaller(t.Context(), &registry.Caller{Address: "192.0.2.3", Route: "token"}), "root")
	// Challenges are no refusals.
	d.Note(t.Context(), registry.Read, "acme/a", registry.Unauthorized)
	d.Note(registry.WithCaller(t.Context(), &registry.Caller{Principal: "anonymous"}), registry.Read, "acme/a", registry.Unauthorized)
	f.flush(t.Context())
	f.flush(t.Context())
	got, err := f.List(t.Context(), Filter{Order: ByID})
	if err != nil {
		t.Fatal(err)
	}
	row := func(principal, address, route, token string, repo registry.Repo, detail map[string]string) Record {
		id := "first"
		if token == "" {
			id = ""
		}
		return Record{Time: f.now, Action: actionDenied, Principal: principal, Address: address, Route: route, Token: token, RequestID: id, Repo: repo, Chain: "denials", Detail: detail}
	}
	want := []Record{
		row("user:alice", "192.0.2.1", "manifest_put", "t", "acme/a", map[string]string{"verb": "create", "code": "DENIED", "count": "3", "first": "2026-11-24T12:00:00Z", "last": "2026-11-24T12:00:20Z"}),
		row("user:alice", "192.0.2.2", "manifest_put", "t", "acme/a", map[string]string{"verb": "create", "code": "DENIED", "count": "1", "first": "2026-11-24T12:00:10Z", "last": "2026-11-24T12:00:10Z"}),
		row("user:alice", "192.0.2.1", "manifest_get", "t", "acme/a", map[string]string{"verb": "read", "code": "NAME_UNKNOWN", "count": "1", "first": "2026-11-24T12:00:10Z", "last": "2026-11-24T12:00:10Z"}),
		row("anonymous", "192.0.2.3", "token", "", "", map[string]string{"verb": "enter", "code": "UNAUTHORIZED", "count": "1", "first": "2026-11-24T12:00:20Z", "last": "2026-11-24T12:00:20Z", "account": "root"}),
	}
	want[3].Action = actionLogin
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Record{}, "ID", "Seq", "Hash"), cmpopts.SortSlices(func(a, b Record) bool { return a.Address+a.Route < b.Address+b.Route })); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if r := f.verify(); !r.OK() || r.Records != 4 {
		t.Errorf("verify: %+v", r)
	}
}

// A scanner with a million refusals in a minute, each from another address.
func TestAScannerCannotMakeUsWrite(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	const addresses, times = 20_000, 50
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := i; j < addresses; j += 8 {
				ctx := as(t.Context(), "user:eve", fmt.Sprintf("2001:db8::%x", j), "manifest_get")
				for range times {
					f.Denials().Note(ctx, registry.Read, "acme/secret", registry.NameUnknown)
				}
			}
		})
	}
	wg.Wait()
	f.flush(t.Context())
	last, err := f.meta.LastAudit(t.Context())
	if err != nil || last != maxDenials+1 {
		t.Fatalf("%d records, %v, want %d", last, err, maxDenials+1)
	}
	others, err := f.List(t.Context(), Filter{Principal: "others"})
	if err != nil || len(others) != 1 || others[0].Detail["count"] != fmt.Sprint((addresses-maxDenials)*times) || others[0].Address != "" {
		t.Errorf("the others: %+v, %v", others, err)
	}
	if f.Denials().Note(t.Context(), registry.Read, "", registry.Denied); len(f.Denials().take()) != 1 {
		t.Error("the next minute begins with the last one's")
	}
}

func TestRefusalsThatCannotBeWrittenAreDropped(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	var log bytes.Buffer
	f.log = slog.New(slog.NewTextHandler(&log, nil))
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // stands for a store that refuses
	for range 7 {
		f.Denials().Note(as(t.Context(), "user:eve", "", ""), registry.Read, "a", registry.Denied)
	}
	f.flush(ctx)
	if !strings.Contains(log.String(), "refusals missing in the audit") || !strings.Contains(log.String(), "count=7") {
		t.Errorf("log: %s", log.String())
	}
	f.flush(t.Context())
	if last, err := f.meta.LastAudit(t.Context()); last != 0 || err != nil {
		t.Errorf("%d records, %v: what was dropped came back", last, err)
	}
}

func BenchmarkNote(b *testing.B) {
	for _, c := range []struct {
		name      string
		addresses int
	}{{"one", 1}, {"scanner", 100_000}} {
		b.Run(c.name, func(b *testing.B) {
			d := &Denials{now: time.Now}
			callers := make([]context.Context, c.addresses)
			for i := range callers {
				callers[i] = as(b.Context(), "user:eve", fmt.Sprintf("192.0.2.%d", i), "manifest_get")
			}
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				d.Note(callers[i], registry.Read, "acme/app", registry.NameUnknown)
				if i++; i == len(callers) {
					i = 0
				}
			}
		})
	}
}
