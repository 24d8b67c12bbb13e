package auth

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/seal"
	"github.com/packhouse/packhouse/storage/meta"
	"github.com/packhouse/packhouse/storage/meta/metatest"
)

// TestReplicasRefuseByTheNewestRules changes rules on one replica and asks
// another, which polls next to never: what was granted holds at once.
//
// Mutations that turn it red: leave newer out of Can or Some; let it ask for
// who is only asking, or twice in a request.
func TestReplicasRefuseByTheNewestRules(t *testing.T) {
	t.Parallel()
	url := metatest.Postgres(t)
	replica := func() *entrance {
		t.Helper()
		store, err := meta.Open(t.Context(), meta.Config{URL: url, Connections: 4})
		if err != nil {
			t.Fatal(err)
		}
		box, err := seal.New(make([]byte, seal.KeySize))
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(t.Context(), Config{Meta: store, Seal: box, Log: slog.New(slog.DiscardHandler), Poll: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		})
		return &entrance{Service: s, t: t, store: store}
	}
	one, two := replica(), replica()
	root := one.admin("root")
	one.must(one.CreateUser(root, Account{Name: "alice"}))
	alice := func(reads *registry.Reads) context.Context {
		return registry.WithCaller(t.Context(), &registry.Caller{Identity: one.id(meta.KindUser, "alice"), Reads: reads})
	}
	gate := two.Gate()
	wants(t, "before the grant", gate.Can(alice(&registry.Reads{}), registry.Read, "acme/app"), registry.NameUnknown)

	grant := Grant{Subject: "alice", Role: "reader", Repositories: "acme/**"}
	one.must(one.AddGrant(root, grant))
	known := two.Policy().Generation()
	wants(t, "asking", gate.Can(registry.Asking(alice(&registry.Reads{})), registry.Read, "acme/app"), registry.NameUnknown)
	if g := two.Policy().Generation(); g != known {
		t.Errorf("asking brought generation %d in force", g)
	}
	wants(t, "granted", gate.Can(alice(&registry.Reads{}), registry.Read, "acme/app"), "")
	wants(t, "something of it", gate.Some(alice(nil), registry.List, "acme"), "")

	// One request looks once, however often it is refused.
	reads := &registry.Reads{}
	wants(t, "not granted", gate.Can(alice(reads), registry.Create, "acme/app"), registry.Denied)
	grant.Role = "publisher"
	one.must(one.AddGrant(root, grant))
	wants(t, "a second time in a request", gate.Can(alice(reads), registry.Create, "acme/app"), registry.Denied)
	wants(t, "in the next request", gate.Can(alice(&registry.Reads{}), registry.Create, "acme/app"), "")

	// A round of validation that saw the rules move looks at once.
	list, err := one.Grants(root, GrantFilter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range list {
		if g.Subject == "user:alice" {
			one.must(one.RemoveGrant(root, g.ID))
		}
	}
	two.Nudge()
	deadline := time.Now().Add(10 * time.Second)
	for gate.Can(alice(nil), registry.Read, "acme/app") == nil {
		if time.Now().After(deadline) {
			t.Fatal("taken away, and still in force")
		}
	}
}
