package admin

import (
	"context"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// The description is what clients are made from: a change of it is a change of
// the API.
func TestDocument(t *testing.T) {
	t.Parallel()
	got, err := Document()
	if err != nil {
		t.Fatal(err)
	}
	const file = "testdata/openapi.json"
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func allow(context.Context, registry.Verb, registry.Repo) error { return nil }

func TestTable(t *testing.T) {
	t.Parallel()
	env := &Env{Gate: registry.GateFunc(allow)}
	if _, err := newAPI(env, Options{}, Operations()); err != nil {
		t.Fatal(err)
	}
	good := operation(Name[RepoParams, None]("x"), "GET /x/{repo}", "X", Anyone(),
		func(context.Context, *Env, RepoParams, Report) (None, error) { return None{}, nil })
	for _, tc := range []struct {
		name  string
		table []Operation
		want  string
	}{
		{"no access", []Operation{{Name: "y", Method: "GET", Path: "/y", Summary: "Y"}}, "who may do it is not said"},
		{"access to other parameters", []Operation{func() Operation {
			o := good
			o.Access = Needs(registry.Admin, NamespaceParams.target)
			return o
		}()}, "its Access reads a admin.NamespaceParams, it takes a admin.RepoParams"},
		{"no parameter of that name", []Operation{func() Operation {
			o := good
			o.Path = "/x/{y}"
			return o
		}()}, "its path has {y}, which is no parameter"},
		{"no summary", []Operation{func() Operation { o := good; o.Summary = ""; return o }()}, "needs a name, a path and a summary"},
		{"one name twice", []Operation{good, func() Operation { o := good; o.Path = "/z/{repo}"; return o }()}, "operation x is there twice"},
		{"one path twice", []Operation{good, func() Operation { o := good; o.Name = "z"; return o }()}, "operation GET /x/{repo} is there twice"},
	} {
		if _, err := newAPI(env, Options{}, tc.table); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
	if _, err := newAPI(&Env{}, Options{}, Operations()); err == nil {
		t.Error("operations without a gate")
	}
}

// A decision that was forgotten is a refusal.
func TestNoAccessIsRefused(t *testing.T) {
	t.Parallel()
	ctx := asOperator(t.Context(), "x")
	if err := (Access{}).check(ctx, registry.GateFunc(allow), None{}); !errors.Is(err, registry.Denied) {
		t.Errorf("no access: %v", err)
	}
	if err := Needs(registry.Admin, everything[None]).check(ctx, nil, None{}); !errors.Is(err, registry.Denied) {
		t.Errorf("no gate: %v", err)
	}
	if err := SignedIn().check(t.Context(), registry.GateFunc(allow), None{}); !errors.Is(err, registry.Unauthorized) {
		t.Errorf("nobody: %v", err)
	}
}
