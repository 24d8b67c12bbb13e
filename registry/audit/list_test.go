package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

func TestList(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	f.fill(150, 3)
	start := f.now.Add(-149 * time.Minute)
	f.record("user:bob", meta.AuditRecord{Action: "grant.add", Namespace: "acme"})
	for _, c := range []struct {
		name        string
		f           Filter
		n           int
		first, last int64
	}{
		{"a page", Filter{}, 100, 1, 100},
		{"the next", Filter{After: 100}, 51, 101, 151},
		{"newest", Filter{Order: Newest, Limit: 3}, 3, 151, 149},
		{"by id", Filter{Order: ByID, After: 140}, 11, 141, 151},
		{"repository", Filter{Repo: "acme/app2"}, 50, 2, 149},
		{"below", Filter{Repo: "acme/**", Limit: 1000}, 150, 1, 150},
		{"namespace", Filter{Namespace: "acme", Limit: 5000}, 151, 1, 151},
		{"noun", Filter{Action: "grant"}, 1, 151, 151},
		{"since and until", Filter{Since: start.Add(10 * time.Minute), Until: start.Add(12 * time.Minute)}, 2, 11, 12},
		{"nothing", Filter{Principal: "user:nobody"}, 0, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := f.List(t.Context(), c.f)
			if err != nil || len(got) != c.n || c.n > 0 && (got[0].ID != c.first || got[c.n-1].ID != c.last) {
				t.Errorf("got %d records, %v, want %d, from %d to %d", len(got), err, c.n, c.first, c.last)
			}
		})
	}
	for _, c := range []struct {
		f    Filter
		want registry.Code
	}{
		{Filter{After: 999}, registry.ParameterInvalid},
		{Filter{After: -1}, registry.ParameterInvalid},
		{Filter{Limit: -1}, registry.ParameterInvalid},
		{Filter{Order: "time"}, registry.ParameterInvalid},
		{Filter{Repo: "Acme"}, registry.NameInvalid},
		{Filter{Repo: "acme/*"}, registry.NameInvalid},
		{Filter{Namespace: "a b"}, registry.NameInvalid},
	} {
		if _, err := f.List(t.Context(), c.f); !errors.Is(err, c.want) {
			t.Errorf("%+v: got %v, want %s", c.f, err, c.want)
		}
	}
}

func TestExport(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	f.fill(1, 1)
	eve := as(t.Context(), "user:eve", "@", "tag_delete")
	f.Denials().Note(eve, registry.Delete, "acme/app", registry.Denied)
	f.flush(t.Context())
	var out bytes.Buffer
	last, err := f.Export(t.Context(), Filter{}, &out)
	if last != 2 || err != nil {
		t.Fatalf("last %d, %v", last, err)
	}
	records, err := f.List(t.Context(), Filter{})
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`{"@timestamp":"2026-11-24T12:01:00Z","event.id":"1","event.action":"manifest.put","event.outcome":"success","event.sequence":1,"event.hash":"%s","user.name":"user:alice","source.address":"192.0.2.7","source.ip":"192.0.2.7","user_agent.original":"docker/29","http.request.id":"r","packhouse.route":"manifest_put","packhouse.token":"0123456789ab","packhouse.subject":"s","packhouse.repo":"acme/app1","packhouse.namespace":"acme","packhouse.tag":"v1","packhouse.digest":"sha256:new","packhouse.before":"sha256:old","packhouse.detail":{"i":"0"},"packhouse.chain":"r1","service.type":"packhouse"}
{"@timestamp":"2026-11-24T12:01:00Z","event.id":"2","event.action":"access.denied","event.outcome":"failure","event.sequence":1,"event.hash":"%s","user.name":"user:eve","source.address":"@","http.request.id":"first","packhouse.route":"tag_delete","packhouse.token":"t","packhouse.repo":"acme/app","packhouse.detail":{"code":"DENIED","count":"1","first":"2026-11-24T12:01:00Z","last":"2026-11-24T12:01:00Z","verb":"delete"},"packhouse.chain":"denials","service.type":"packhouse"}
`, records[0].Hash, records[1].Hash)
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestExportGoesOn(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	var many []meta.AuditRecord
	for range 2500 {
		many = append(many, meta.AuditRecord{Action: "manifest.put", RepoID: 1})
	}
	f.record("user:alice", many...)
	for _, c := range []struct {
		name         string
		f            Filter
		lines        int
		first, ended int64
	}{
		{"all", Filter{}, 2500, 1, 2500},
		{"after", Filter{After: 2000}, 500, 2001, 2500},
		{"limit", Filter{After: 10, Limit: 1500}, 1500, 11, 1510},
		{"whatever the order", Filter{Order: Newest, Limit: 1}, 1, 1, 1},
		{"nothing new", Filter{After: 2500}, 0, 0, 2500},
		{"since, nothing", Filter{After: 7, Since: f.now.Add(time.Second)}, 0, 0, 7},
		{"since", Filter{Since: f.now}, 2500, 1, 2500},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			ended, err := f.Export(t.Context(), c.f, &out)
			if err != nil {
				t.Fatal(err)
			}
			var first Event
			if c.lines > 0 {
				if err := json.NewDecoder(strings.NewReader(out.String())).Decode(&first); err != nil || first.ID != fmt.Sprint(c.first) {
					t.Errorf("first %s, %v, want %d", first.ID, err, c.first)
				}
			}
			if lines := strings.Count(out.String(), "\n"); lines != c.lines || ended != c.ended {
				t.Errorf("%d lines, ended with %d, want %d and %d", lines, ended, c.lines, c.ended)
			}
		})
	}
	if ended, err := f.Export(t.Context(), Filter{After: 3}, failingWriter{}); ended != 3 || !errors.Is(err, errWrite) {
		t.Errorf("a broken receiver: ended with %d, %v", ended, err)
	}
}
