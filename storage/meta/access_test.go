package meta

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry"
)

// changed is update for what records nothing.
func changed(t *testing.T, s *Store, f func(context.Context, *Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), Options{Durable: true, Unaudited: true}, f); err != nil {
		t.Fatal(err)
	}
}

func ensure(t *testing.T, s *Store, name registry.Repo) (r Repository) {
	t.Helper()
	changed(t, s, func(ctx context.Context, tx *Tx) (err error) {
		r, err = tx.EnsureRepository(ctx, name)
		return err
	})
	return r
}

func generation(t *testing.T, s *Store) int64 {
	t.Helper()
	n, err := s.AccessGeneration(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func rows(t *testing.T, s *Store) AccessRows {
	t.Helper()
	r, err := s.AccessRows(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// bind grants and trusts something in a namespace and sets all that can be set.
func bind(t *testing.T, s *Store, namespace string) {
	t.Helper()
	changed(t, s, func(ctx context.Context, tx *Tx) error {
		n, err := tx.Namespace(ctx, namespace)
		if err != nil {
			return err
		}
		if _, _, err := tx.AddGrant(ctx, Grant{NamespaceID: n.ID, Role: "reader", Repositories: namespace + "/**"}); err != nil {
			return err
		}
		if _, err := tx.AddTrust(ctx, Trust{NamespaceID: n.ID, Name: "release", Issuer: "https://ci.example.com", Claims: map[string]string{"sub": "x"}, Role: "publisher", Repositories: namespace + "/**"}); err != nil {
			return err
		}
		if _, err := tx.SetVisibility(ctx, OfNamespace, registry.Repo(namespace), Public); err != nil {
			return err
		}
		if err := tx.SetFirstPush(ctx, namespace, FirstPushAdmin); err != nil {
			return err
		}
		return tx.TouchAccess(ctx)
	})
}

// state is what is left of what bind made.
type state struct {
	Grants, Trusts, Visible int
	Incarnation             int64
	FirstPush               string
}

func stateOf(t *testing.T, s *Store, namespace string) state {
	t.Helper()
	r := rows(t, s)
	n, err := s.Namespace(t.Context(), namespace)
	if err != nil && !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	return state{len(r.Grants), len(r.Trusts), len(r.Visible), n.Incarnation, n.FirstPush}
}

func TestANameThatIsUsedAgainIsAnotherNamespace(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			bound := state{1, 1, 1, 1, FirstPushAdmin}
			again := state{0, 0, 0, 2, ""}
			tests := []struct {
				name string
				back func(ctx context.Context, tx *Tx, old Repository) error
				want state
			}{
				{"pushed to", func(ctx context.Context, tx *Tx, _ Repository) error {
					_, err := tx.EnsureRepository(ctx, "acme/other")
					return err
				}, again},
				{"published to", func(ctx context.Context, tx *Tx, _ Repository) error {
					_, err := tx.EnsureFeed(ctx, "acme", "npm")
					return err
				}, again},
				{"created", func(ctx context.Context, tx *Tx, _ Repository) error {
					_, made, err := tx.CreateNamespace(ctx, "acme")
					if !made {
						return errors.New("it was there")
					}
					return err
				}, again},
				{"restored", func(ctx context.Context, tx *Tx, old Repository) error { return tx.RestoreRepository(ctx, old) }, bound},
			}
			for _, tt := range tests {
				t.Run(tt.name, func(t *testing.T) {
					t.Parallel()
					s := at.fresh(t).open(t)
					r := ensure(t, s, "acme/app")
					bind(t, s, "acme")
					if diff := cmp.Diff(bound, stateOf(t, s, "acme")); diff != "" {
						t.Fatalf("before (-want +got):\n%s", diff)
					}
					before := generation(t, s)
					changed(t, s, func(ctx context.Context, tx *Tx) error {
						if err := tx.DeleteRepository(ctx, r); err != nil {
							return err
						}
						return tx.DeleteNamespace(ctx, "acme")
					})
					if diff := cmp.Diff(state{}, stateOf(t, s, "acme")); diff != "" {
						t.Errorf("deleted (-want +got):\n%s", diff)
					}
					deleted := generation(t, s)
					changed(t, s, func(ctx context.Context, tx *Tx) error { return tt.back(ctx, tx, r) })
					if diff := cmp.Diff(tt.want, stateOf(t, s, "acme")); diff != "" {
						t.Errorf("back (-want +got):\n%s", diff)
					}
					if back := generation(t, s); before >= deleted || deleted >= back {
						t.Errorf("generations %d, %d, %d do not grow", before, deleted, back)
					}
				})
			}
		})
	}
}

// What was public in the old namespace must not be so in the new one just
// because somebody restores it.
func TestTrashOfAnOldNamespaceIsNotVisible(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			s := at.open(t)
			r := ensure(t, s, "acme/app")
			changed(t, s, func(ctx context.Context, tx *Tx) error {
				if _, err := tx.EnsureFeed(ctx, "acme", "npm"); err != nil {
					return err
				}
				for _, name := range []registry.Repo{"acme/app", "acme/npm"} {
					if _, err := tx.SetVisibility(ctx, "", name, Public); err != nil {
						return err
					}
				}
				var err error
				if r, err = tx.Repository(ctx, "acme/app"); err != nil {
					return err
				}
				if err := tx.DeleteRepository(ctx, r); err != nil {
					return err
				}
				if err := tx.DeleteNamespace(ctx, "acme"); err != nil {
					return err
				}
				_, err = tx.EnsureRepository(ctx, "acme/new")
				return err
			})
			changed(t, s, func(ctx context.Context, tx *Tx) error { return tx.RestoreRepository(ctx, r) })
			if v := rows(t, s).Visible; len(v) != 0 {
				t.Errorf("visible: %v", v)
			}
		})
	}
}

func TestVisibility(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			s := at.open(t)
			ensure(t, s, "acme")
			ensure(t, s, "acme/npm/left-pad")
			changed(t, s, func(ctx context.Context, tx *Tx) error {
				_, err := tx.EnsureFeed(ctx, "acme", "npm")
				return err
			})
			set := func(what string, name registry.Repo, visibility string) string {
				t.Helper()
				got := ""
				err := s.Update(t.Context(), Options{}, func(ctx context.Context, tx *Tx) (err error) {
					got, err = tx.SetVisibility(ctx, what, name, visibility)
					return err
				})
				if err != nil {
					return err.Error()
				}
				return got
			}
			for _, c := range []struct {
				what string
				name registry.Repo
				want string
			}{
				{"", "acme", OfRepository},
				{"", "acme/npm", OfFeed},
				{"", "acme/npm/left-pad", OfRepository},
				{OfNamespace, "acme", OfNamespace},
				{OfNamespace, "acme/npm", ErrNotFound.Error()},
				{OfFeed, "acme", ErrNotFound.Error()},
				{"", "other", ErrNotFound.Error()},
			} {
				if got := set(c.what, c.name, Public); got != c.want {
					t.Errorf("%q %s: got %q, want %q", c.what, c.name, got, c.want)
				}
			}
			set(OfNamespace, "acme", Private)
			want := []Visible{{"acme", false, false}, {"acme", true, true}, {"acme/npm", false, true}, {"acme/npm/left-pad", true, true}}
			if diff := cmp.Diff(want, rows(t, s).Visible); diff != "" {
				t.Errorf("visible (-want +got):\n%s", diff)
			}
			set(OfNamespace, "acme", "")
			if diff := cmp.Diff(want[1:], rows(t, s).Visible); diff != "" {
				t.Errorf("after (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFirstPushIsThatOfTheNearestNamespace(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			s := at.open(t)
			changed(t, s, func(ctx context.Context, tx *Tx) error {
				for _, name := range []string{"acme", "acme/team", ""} {
					if _, _, err := tx.CreateNamespace(ctx, name); err != nil {
						return err
					}
				}
				if err := tx.SetFirstPush(ctx, "acme/team", FirstPushAdmin); err != nil {
					return err
				}
				return tx.SetFirstPush(ctx, "", FirstPushAdmin)
			})
			for name, want := range map[registry.Repo]string{
				"acme/app": "", "acme/team/app": FirstPushAdmin, "acme/team/x/app": FirstPushAdmin, "acme/teams/app": "", "alpine": FirstPushAdmin, "other/app": "",
			} {
				changed(t, s, func(ctx context.Context, tx *Tx) error {
					got, err := tx.FirstPush(ctx, name)
					if got != want {
						t.Errorf("%s: got %q, want %q", name, got, want)
					}
					return err
				})
			}
		})
	}
}

// The mutation that turns this red: read the rows outside a transaction.
func TestAccessRowsAreOfOneMoment(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			s := at.open(t)
			stop := make(chan struct{})
			var wg sync.WaitGroup
			wg.Go(func() { // each change adds one group and one user, so there are as many of both
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					changed(t, s, func(ctx context.Context, tx *Tx) error {
						name := fmt.Sprintf("n%04d", i)
						if _, err := tx.AddPrincipal(ctx, Principal{Kind: KindUser, Name: name, Source: SourceLocal}); err != nil {
							return err
						}
						if _, err := tx.AddGroup(ctx, name, ""); err != nil {
							return err
						}
						return tx.TouchAccess(ctx)
					})
				}
			})
			for range 60 {
				r := rows(t, s)
				if len(r.Principals) != len(r.Groups) || int64(len(r.Groups)) != r.Generation {
					t.Errorf("generation %d has %d users and %d groups", r.Generation, len(r.Principals), len(r.Groups))
					break
				}
			}
			close(stop)
			wg.Wait()
		})
	}
}

// SQLite gives the highest row's number away again; an epoch it never does.
func TestNoEpochComesTwice(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			s := at.open(t)
			seen := map[int64]bool{}
			var ids []int64
			for range 3 {
				changed(t, s, func(ctx context.Context, tx *Tx) error {
					id, err := tx.AddPrincipal(ctx, Principal{Kind: KindUser, Name: "alice", Source: SourceLocal, Password: "secret"})
					if err != nil {
						return err
					}
					ids = append(ids, id)
					return tx.TouchAccess(ctx)
				})
				for range 2 {
					p, err := s.Principal(t.Context(), KindUser, "alice")
					if err != nil {
						t.Fatal(err)
					}
					if seen[p.Epoch] {
						t.Errorf("epoch %d comes twice", p.Epoch)
					}
					seen[p.Epoch] = true
					changed(t, s, func(ctx context.Context, tx *Tx) error {
						if err := tx.SetPassword(ctx, p.ID, "other", false); err != nil {
							return err
						}
						return tx.TouchAccess(ctx)
					})
				}
				changed(t, s, func(ctx context.Context, tx *Tx) error {
					if err := tx.DeletePrincipal(ctx, ids[len(ids)-1]); err != nil {
						return err
					}
					return tx.TouchAccess(ctx)
				})
			}
			if ids[0] != ids[1] && !s.Shared() { // PostgreSQL uses no number twice
				t.Errorf("rows have the numbers %v: this shows nothing when none comes again", ids)
			}
		})
	}
}

func TestPrincipalsInAccessRowsHaveNoPassword(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			s := at.open(t)
			changed(t, s, func(ctx context.Context, tx *Tx) error {
				_, err := tx.AddPrincipal(ctx, Principal{Kind: KindUser, Name: "alice", Source: SourceLocal, Password: "hash"})
				return err
			})
			if p := rows(t, s).Principals; len(p) != 1 || p[0].Password != "" {
				t.Errorf("got %+v", p)
			}
			if p, err := s.Principal(t.Context(), KindUser, "alice"); err != nil || p.Password != "hash" {
				t.Errorf("got %+v, %v", p, err)
			}
		})
	}
}

func TestDeletingSomebodyTakesAllWithIt(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			s := at.open(t)
			var alice, dev int64
			changed(t, s, func(ctx context.Context, tx *Tx) (err error) {
				if alice, err = tx.AddPrincipal(ctx, Principal{Kind: KindUser, Name: "alice", Source: SourceLocal}); err != nil {
					return err
				}
				if dev, err = tx.AddGroup(ctx, "dev", ""); err != nil {
					return err
				}
				if _, err := tx.AddMember(ctx, Member{dev, alice, SourceLocal}); err != nil {
					return err
				}
				for _, g := range []Grant{{Principal: alice, Role: "admin", Repositories: "**"}, {Group: dev, Role: "reader", Repositories: "**"}} {
					if _, _, err := tx.AddGrant(ctx, g); err != nil {
						return err
					}
				}
				return tx.AddToken(ctx, Token{ID: "t", Principal: alice, Hash: []byte("h"), Expires: tx.Now().Add(time.Hour)})
			})
			changed(t, s, func(ctx context.Context, tx *Tx) error { return tx.DeletePrincipal(ctx, alice) })
			r := rows(t, s)
			if len(r.Principals)+len(r.Members) != 0 || r.Tokens != 0 || len(r.Grants) != 1 || r.Grants[0].Group != dev {
				t.Errorf("left: %+v", r)
			}
			changed(t, s, func(ctx context.Context, tx *Tx) error { return tx.DeleteGroup(ctx, dev) })
			if r := rows(t, s); len(r.Grants)+len(r.Groups) != 0 {
				t.Errorf("left: %+v", r)
			}
		})
	}
}

func TestMembershipsOfOneSource(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			s := at.open(t)
			var alice int64
			groups := map[string]int64{}
			changed(t, s, func(ctx context.Context, tx *Tx) (err error) {
				if alice, err = tx.AddPrincipal(ctx, Principal{Kind: KindUser, Name: "alice", Source: "oidc", External: "iss sub"}); err != nil {
					return err
				}
				for _, name := range []string{"a", "b", "c"} {
					if groups[name], err = tx.AddGroup(ctx, name, ""); err != nil {
						return err
					}
				}
				_, err = tx.AddMember(ctx, Member{groups["a"], alice, SourceLocal})
				return err
			})
			for _, c := range []struct {
				names   []string
				changed bool
				want    []Member
			}{
				{[]string{"a", "b", "none"}, true, []Member{{groups["a"], alice, SourceLocal}, {groups["a"], alice, "oidc"}, {groups["b"], alice, "oidc"}}},
				{[]string{"b", "a"}, false, []Member{{groups["a"], alice, SourceLocal}, {groups["a"], alice, "oidc"}, {groups["b"], alice, "oidc"}}},
				{[]string{"c"}, true, []Member{{groups["a"], alice, SourceLocal}, {groups["c"], alice, "oidc"}}},
				{nil, true, []Member{{groups["a"], alice, SourceLocal}}},
			} {
				changed(t, s, func(ctx context.Context, tx *Tx) error {
					got, err := tx.SetMemberships(ctx, alice, "oidc", c.names)
					if got != c.changed {
						t.Errorf("%v: changed %v, want %v", c.names, got, c.changed)
					}
					return err
				})
				got, err := s.Memberships(t.Context(), alice)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("%v (-want +got):\n%s", c.names, diff)
				}
			}
			if p, err := s.PrincipalByExternal(t.Context(), "iss sub"); err != nil || p.ID != alice {
				t.Errorf("by external id: %+v, %v", p, err)
			}
		})
	}
}

func TestTheSameGrantIsOneRow(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			s := at.open(t)
			ensure(t, s, "acme/app")
			var first, second, other int64
			changed(t, s, func(ctx context.Context, tx *Tx) error {
				n, err := tx.Namespace(ctx, "acme")
				if err != nil {
					return err
				}
				g := Grant{NamespaceID: n.ID, Role: "reader", Repositories: "acme/**"}
				var added bool
				if first, added, err = tx.AddGrant(ctx, g); err != nil || !added {
					return errors.Join(err, fmt.Errorf("added %v", added))
				}
				if second, added, err = tx.AddGrant(ctx, g); err != nil || added {
					return errors.Join(err, fmt.Errorf("added again %v", added))
				}
				g.NamespaceID = 0
				other, _, err = tx.AddGrant(ctx, g)
				return err
			})
			if first != second || first == other {
				t.Errorf("got rows %d, %d, %d", first, second, other)
			}
			ids := func(f GrantFilter) (list []int64) {
				got, err := s.Grants(t.Context(), f)
				if err != nil {
					t.Fatal(err)
				}
				for _, g := range got {
					list = append(list, g.ID)
				}
				return list
			}
			n, err := s.Namespace(t.Context(), "acme")
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range []struct {
				f    GrantFilter
				want []int64
			}{
				{GrantFilter{}, []int64{first, other}},
				{GrantFilter{Limit: 1}, []int64{first}},
				{GrantFilter{After: first}, []int64{other}},
				{GrantFilter{Namespace: n.ID}, []int64{first}},
				{GrantFilter{Namespace: Registry}, []int64{other}},
				{GrantFilter{Everybody: true}, []int64{first, other}},
				{GrantFilter{Principal: 7}, nil},
			} {
				if got := ids(c.f); !slices.Equal(got, c.want) {
					t.Errorf("%+v: got %v, want %v", c.f, got, c.want)
				}
			}
		})
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			s := at.open(t)
			now := time.UnixMilli(1_900_000_000_000).UTC()
			var alice int64
			changed(t, s, func(ctx context.Context, tx *Tx) (err error) {
				alice, err = tx.AddPrincipal(ctx, Principal{Kind: KindUser, Name: "alice", Source: SourceLocal})
				for i := range 3 {
					if err == nil {
						err = tx.AddToken(ctx, Token{ID: fmt.Sprint("t", i), Principal: alice, Hash: []byte{byte(i)}, Name: "n", Scope: `[]`, Epoch: 4, Expires: now.Add(time.Duration(i) * time.Hour)})
					}
				}
				return err
			})
			got, err := s.TokenByHash(t.Context(), []byte{1})
			want := Token{ID: "t1", Principal: alice, Hash: []byte{1}, Name: "n", Scope: `[]`, Epoch: 4, Created: got.Created, Expires: now.Add(time.Hour)}
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
			if _, err := s.TokenByHash(t.Context(), []byte{9}); !errors.Is(err, ErrNotFound) {
				t.Errorf("no token: %v", err)
			}
			revoke := func(at time.Time) time.Time {
				changed(t, s, func(ctx context.Context, tx *Tx) error { return tx.RevokeToken(ctx, "t1", at) })
				k, err := s.Token(t.Context(), "t1")
				if err != nil {
					t.Fatal(err)
				}
				return k.Revoked
			}
			if got := revoke(now.Add(time.Hour)); !got.Equal(now.Add(time.Hour)) {
				t.Errorf("revoked at %s", got)
			}
			if got := revoke(now); !got.Equal(now) {
				t.Errorf("revoked at %s, want the earlier", got)
			}
			if got := revoke(now.Add(2 * time.Hour)); !got.Equal(now) {
				t.Errorf("revoked at %s: a token came back", got)
			}
			if err := s.Update(t.Context(), Options{}, func(ctx context.Context, tx *Tx) error {
				for _, at := range []time.Time{now, now.Add(-time.Hour)} { // the later stays
					if err := errors.Join(tx.UseTokens(ctx, map[string]time.Time{"t1": at, "gone": at}), tx.UsePrincipals(ctx, map[int64]time.Time{alice: at})); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if k, err := s.Token(t.Context(), "t1"); err != nil || !k.LastUsed.Equal(now) {
				t.Errorf("last used %s, %v", k.LastUsed, err)
			}
			if p, err := s.PrincipalByID(t.Context(), alice); err != nil || !p.LastUsed.Equal(now) {
				t.Errorf("last used %s, %v", p.LastUsed, err)
			}
			var removed int64
			changed(t, s, func(ctx context.Context, tx *Tx) (err error) {
				removed, err = tx.RemoveExpiredTokens(ctx, now.Add(90*time.Minute), 10)
				return err
			})
			list, err := s.Tokens(t.Context(), alice, "", 0)
			if err != nil || removed != 2 || len(list) != 1 || list[0].ID != "t2" {
				t.Errorf("removed %d, left %v, %v", removed, list, err)
			}
		})
	}
}

func TestSecretKeysAreCompareAndSet(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			s := at.open(t)
			add := func(id, purpose string, known int) (added bool) {
				changed(t, s, func(ctx context.Context, tx *Tx) (err error) {
					added, err = tx.AddSecretKey(ctx, SecretKey{ID: id, Purpose: purpose, Private: []byte("p"), Public: []byte("q")}, known)
					return err
				})
				return added
			}
			if !add("a", "jwt", 0) || add("b", "jwt", 0) || !add("c", "checkpoint", 0) || !add("d", "jwt", 1) {
				t.Error("a key was added that should not be, or the other way round")
			}
			list, err := s.SecretKeys(t.Context(), "jwt")
			if err != nil || len(list) != 2 {
				t.Errorf("got %v, %v", list, err)
			}
		})
	}
}

func TestBootstrapIsOnce(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			s := at.open(t)
			if at, err := s.Bootstrapped(t.Context()); err != nil || !at.IsZero() {
				t.Errorf("bootstrapped at %s, %v", at, err)
			}
			for _, want := range []bool{true, false} {
				changed(t, s, func(ctx context.Context, tx *Tx) error {
					got, err := tx.Bootstrap(ctx)
					if got != want {
						t.Errorf("got %v, want %v", got, want)
					}
					return err
				})
			}
		})
	}
}
