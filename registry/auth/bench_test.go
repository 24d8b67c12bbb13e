package auth

import (
	"fmt"
	"testing"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// crowd is 1,000 users in 3 of 200 groups each, and 10,000 grants over 100
// namespaces: half to groups, the rest to users but for 100 to everybody; a
// fifth denies. User and group n are of team n mod 100.
func crowd() meta.AccessRows {
	r := meta.AccessRows{Generation: 1}
	for i := range int64(1000) {
		r.Principals = append(r.Principals, meta.Principal{ID: i + 1, Kind: "user", Name: fmt.Sprintf("user-%d", i)})
		for j := range int64(3) {
			r.Members = append(r.Members, meta.Member{Group: (i*7+j*67)%200 + 1, Principal: i + 1})
		}
	}
	for i := range int64(200) {
		r.Groups = append(r.Groups, meta.Group{ID: i + 1, Name: fmt.Sprintf("group-%d", i)})
	}
	patterns := []string{"team-%d/**", "team-%d/npm/**", "team-%d/npm/lib-*", "team-%d/app-7", "team-%d/*/lib-1*"}
	roles := []string{"reader", "publisher", "maintainer", "admin", "read,create"}
	for i := range int64(10_000) {
		g := meta.Grant{
			ID: i + 1, Deny: i/2000 == 3, Role: roles[(i+i/2000)%5],
			NamespaceID: i/2%100 + 1, Namespace: fmt.Sprintf("team-%d", i/2%100),
			Repositories: fmt.Sprintf(patterns[(i+i/1000)%5], i/2%100),
		}
		switch {
		case i%2 == 0:
			g.Group = i/2%200 + 1
		case i%100 != 1:
			g.Principal = i/2%1000 + 1
		}
		r.Grants = append(r.Grants, g)
	}
	for i := range 50 {
		r.Visible = append(r.Visible, meta.Visible{Name: registry.Repo(fmt.Sprintf("team-%d", 2*i)), Public: i%2 == 0})
	}
	return r
}

func crowdNames() []registry.Repo {
	var names []registry.Repo
	for i := range 10_000 {
		names = append(names, registry.Repo(fmt.Sprintf("team-%d/npm/lib-%d", i%100, i)))
	}
	return names
}

func crowdIdentities() []*Identity {
	var ids []*Identity
	for i := range 1000 {
		ids = append(ids, &Identity{Kind: User, ID: int64(i + 1), Name: fmt.Sprintf("user-%d", i)})
	}
	return ids
}

// Each of 10,000 names with one user of 1,000: it was asked before.
func BenchmarkMay(b *testing.B) {
	p, names, ids := policy(b, crowd()), crowdNames(), crowdIdentities()
	scoped := make([]*Identity, len(ids))
	for i, id := range ids {
		s := *id
		s.Scope = []Scope{{"other/**", "reader"}, {fmt.Sprintf("team-%d/**", i%100), "publisher"}}
		scoped[i] = &s
	}
	warm := func(b *testing.B, ids []*Identity) {
		b.Helper()
		b.ReportAllocs()
		for i, r := range names {
			p.May(ids[i%len(ids)], registry.Read, r)
		}
		for i := 0; b.Loop(); i++ {
			p.May(ids[i%10_000%len(ids)], registry.Read, names[i%len(names)])
		}
	}
	b.Run("warm", func(b *testing.B) { warm(b, ids) })
	b.Run("warm and scoped", func(b *testing.B) { warm(b, scoped) })
	b.Run("cold", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			p.decide(question{p.parties[int64(i%1000)+1], string(names[i%len(names)]), exactly})
		}
	})
	b.Run("one in ten million", func(b *testing.B) { // of users and names: seldom asked before
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			p.May(ids[i*7919%1000], registry.Read, names[i*104729%10_000])
		}
	})
}

func BenchmarkMaySome(b *testing.B) {
	p, ids := policy(b, crowd()), crowdIdentities()
	b.Run("warm", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			p.MaySome(ids[i%1000], registry.Read, "team-7/npm")
		}
	})
	b.Run("cold", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			p.decide(question{p.parties[int64(i%1000)+1], "team-7/npm", some})
		}
	})
	b.Run("cold, whole registry", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			p.decide(question{p.parties[int64(i%1000)+1], "", some})
		}
	})
}

func BenchmarkNewPolicy(b *testing.B) {
	rows := crowd()
	for b.Loop() {
		policy(b, rows)
	}
}

func BenchmarkGlob(b *testing.B) {
	name := "acme/npm/left-pad"
	for _, pattern := range []string{"acme/npm/left-pad", "acme/**", "acme/*/left-*", "**/left-pad"} {
		g := glob(b, pattern)
		b.Run(pattern, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				g.Match(name)
			}
		})
	}
}
