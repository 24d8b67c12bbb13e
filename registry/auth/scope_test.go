package auth

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseScopes(t *testing.T) {
	t.Parallel()
	repository := func(name string, actions ...string) jwtAccess {
		return jwtAccess{Type: repositoryType, Name: name, Actions: actions}
	}
	tests := []struct {
		name  string
		texts []string
		want  []jwtAccess
	}{
		{"none", nil, nil},
		{"one", []string{"repository:acme/app:pull"}, []jwtAccess{repository("acme/app", "pull")}},
		{"several in one", []string{"repository:acme/app:pull,push repository:acme/base:pull"}, []jwtAccess{repository("acme/app", "pull", "push"), repository("acme/base", "pull")}},
		{"taken together", []string{"repository:a:pull", "repository:a:push,pull"}, []jwtAccess{repository("a", "pull", "push")}},
		{"class", []string{"repository(plugin):a/b:pull"}, []jwtAccess{repository("a/b", "pull")}},
		{"catalog", []string{"registry:catalog:*"}, []jwtAccess{{Type: registryType, Name: catalogName, Actions: []string{"*"}}}},
		{"catalog by another action", []string{"registry:catalog:pull"}, nil},
		{"other type", []string{"namespace:acme:admin", "repositories:a:pull", "(x):a:pull"}, nil},
		{"illegal name", []string{"repository:Acme/App:pull", "repository:localhost:5000/a:pull", "repository:a//b:pull", "repository::pull", "repository:../a:pull"}, nil},
		{"malformed", []string{"repository", "repository:a", ":", "::", "", "  "}, nil},
		{"no action", []string{"repository:a:", "repository:b:,,"}, []jwtAccess{repository("a"), repository("b")}},
		{"unknown action", []string{"repository:a:fly,pull"}, []jwtAccess{repository("a", "fly", "pull")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, parseScopes(tt.texts)); diff != "" {
				t.Errorf("parseScopes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGrantedActions(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		asked   []string
		allowed Verbs
		want    []string
	}{
		{"nothing allowed", []string{"pull", "push", "*"}, 0, nil},
		{"reader", []string{"pull", "push", "delete"}, reading, []string{"pull"}},
		{"publisher", []string{"pull", "push"}, reading | creating, []string{"pull", "push"}},
		{"all asked by a reader", []string{"*"}, reading, []string{"pull"}},
		{"all asked by an administrator", []string{"*"}, allVerbs, []string{"pull", "push", "delete", "*"}},
		{"unknown", []string{"fly"}, allVerbs, nil},
		{"no more than asked", []string{"pull"}, allVerbs, []string{"pull"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, grantedActions(tt.asked, tt.allowed)); diff != "" {
				t.Errorf("grantedActions (-want +got):\n%s", diff)
			}
		})
	}
}
