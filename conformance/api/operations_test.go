package api

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/packhouse/packhouse/conformance/packhouse"
)

type object = map[string]any

// Every operation of the API, as an administrator asks it: requests and answers are as the description says.
func TestEveryOperation(t *testing.T) {
	data := t.TempDir()
	s, err := packhouse.Start(t.Context(), packhouse.Options{Data: data, Args: []string{"--auth", "on"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	binary, err := packhouse.Binary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), binary, "token", "create", "--user", "admin", "--data", data).Output()
	if err != nil {
		t.Fatal(err)
	}
	j := newJudge(t, s)
	for _, path := range []string{"/users", "/whoami", "/repositories/acme%2Fapp"} {
		j.bad("GET", path, nil, 401) // nobody is logged in
	}
	j.do("GET", "/namespaces", nil, 401) // of what anybody may ask for, nothing is for nobody
	j.secret = strings.TrimSpace(string(out))

	j.do("GET", "/whoami", nil, 200)
	j.do("GET", "/oci-name?namespace=acme&format=npm&name=@acme/widget&version=1.0.0", nil, 200)
	j.do("GET", "/oci-name?namespace=acme&format=cobol&name=x", nil, 404)

	j.do("POST", "/namespaces", object{"namespace": "acme", "visibility": "private"}, 201)
	j.do("POST", "/namespaces", object{"namespace": "acme"}, 409)
	j.bad("POST", "/namespaces", object{"namespace": "acme", "color": "red"}, 400)
	j.bad("POST", "/namespaces", nil, 400)
	j.do("GET", "/namespaces?limit=1", nil, 200)
	j.do("GET", "/namespaces/acme", nil, 200)
	j.do("GET", "/namespaces/nowhere", nil, 404)
	j.do("PUT", "/namespaces/acme/visibility", object{"visibility": "public"}, 204)
	j.bad("PUT", "/namespaces/acme/visibility", object{"visibility": "secret"}, 400)
	j.do("PUT", "/namespaces/acme/first-push", object{"first_push": ""}, 204)
	j.do("PUT", "/namespaces/acme/quota", object{"bytes": 1 << 40, "manifests": 1000}, 204)

	j.do("POST", "/feeds", object{"feed": "acme/npm"}, 201)
	j.do("GET", "/feeds?namespace=acme", nil, 200)
	j.do("GET", "/feeds/acme%2Fnpm", nil, 200)
	j.do("PUT", "/feeds/acme%2Fnpm/visibility", object{"visibility": "private"}, 204)
	j.do("DELETE", "/feeds/acme%2Fnpm", nil, 204)
	j.do("DELETE", "/feeds/acme%2Fnpm", nil, 404)

	j.do("POST", "/repositories", object{"repo": "acme/app"}, 201)
	j.push("acme/app", "latest", "one")
	j.push("acme/app", "latest", "two")
	j.do("GET", "/repositories?limit=1&namespace=acme", nil, 200)
	j.bad("GET", "/repositories?deleted=perhaps", nil, 400)
	j.do("GET", "/repositories/acme%2Fapp", nil, 200)
	j.do("PUT", "/repositories/acme%2Fapp/visibility", object{"visibility": "public"}, 204)
	j.do("GET", "/repositories/acme%2Fapp/tags/latest/history?limit=1", nil, 200)
	j.do("POST", "/repositories/acme%2Fapp/tags/latest/restore", nil, 200)
	j.do("DELETE", "/repositories/acme%2Fapp", nil, 204)
	j.do("GET", "/repositories?deleted=true", nil, 200)
	j.do("POST", "/repositories/acme%2Fapp/restore", nil, 204)
	j.do("DELETE", "/repositories/acme%2Fapp", nil, 204)
	j.do("GET", "/storage/contents?limit=1", nil, 200)
	j.do("GET", "/trash?limit=1&repo=acme%2Fapp", nil, 200)
	j.do("POST", "/restore", object{"reference": "acme/app", "dry_run": true}, 200)
	j.do("POST", "/restore", object{"reference": "acme/app"}, 200)
	j.do("POST", "/restore", object{"reference": "acme/nowhere"}, 404)
	j.bad("POST", "/restore", nil, 400)
	j.do("DELETE", "/repositories/acme%2Fapp", nil, 204)
	j.do("POST", "/repositories/acme%2Fapp/purge", nil, 204)
	j.do("DELETE", "/namespaces/acme", nil, 200)
	j.do("POST", "/namespaces/acme/restore", nil, 200)
	j.do("DELETE", "/namespaces/acme", nil, 200)
	j.do("POST", "/namespaces/acme/purge", nil, 200)

	j.do("POST", "/users", object{"user": "alice", "full_name": "Alice A.", "password": "correct horse battery"}, 201)
	j.do("GET", "/users", nil, 200)
	j.do("GET", "/users/alice", nil, 200)
	j.do("PATCH", "/users/alice", object{"email": "alice@example.com"}, 204)
	j.do("PUT", "/users/alice/password", object{"password": "another horse battery", "keep_tokens": true}, 204)
	j.do("POST", "/services", object{"service": "ci", "description": "builds", "exempt": true}, 201)
	j.do("GET", "/services", nil, 200)
	j.do("GET", "/services/ci", nil, 200)
	j.do("PATCH", "/services/ci", object{"description": "the build servers"}, 204)
	j.do("POST", "/groups", object{"group": "devs"}, 201)
	j.do("GET", "/groups", nil, 200)
	j.do("PATCH", "/groups/devs", object{"description": "who writes the software"}, 204)
	j.do("PUT", "/groups/devs/members/user%3Aalice", nil, 204)
	j.do("GET", "/groups/devs", nil, 200)

	var token struct{ ID string }
	made := j.do("POST", "/tokens", object{"owner": "service:ci", "name": "build", "ttl": "2d", "scope": []object{{"repositories": "acme/**", "role": "publisher"}}}, 201)
	if err := json.Unmarshal(made, &token); err != nil {
		t.Fatal(err)
	}
	j.do("GET", "/tokens?owner=service%3Aci&limit=1", nil, 200)
	j.do("GET", "/tokens/"+token.ID, nil, 200)
	j.do("POST", "/tokens/"+token.ID+"/rotate", nil, 201)
	j.do("DELETE", "/tokens/"+token.ID, nil, 204)

	var grant struct{ ID int64 }
	made = j.do("POST", "/grants", object{"subject": "group:devs", "role": "reader"}, 201)
	if err := json.Unmarshal(made, &grant); err != nil {
		t.Fatal(err)
	}
	j.do("GET", "/grants?limit=1", nil, 200)
	j.bad("DELETE", "/grants/x", nil, 400)
	j.do("GET", "/can?subject=alice&action=pull&repo=acme/app", nil, 200)
	j.do("POST", "/trusts", object{"trust": "release", "issuer": "https://ci.example.com", "claims": object{"project_id": "42"}}, 201)
	j.do("GET", "/trusts", nil, 200)
	exported := j.do("GET", "/access", nil, 200)
	j.do("POST", "/access", object{"access": json.RawMessage(exported), "dry_run": true, "prune": true}, 200)
	j.do("DELETE", "/trusts/release", nil, 204)
	j.do("DELETE", "/grants/"+string(must(json.Marshal(grant.ID))), nil, 204)
	j.do("DELETE", "/groups/devs/members/user%3Aalice", nil, 204)
	j.do("DELETE", "/groups/devs", nil, 204)
	for _, account := range []string{"/users/alice", "/services/ci"} {
		j.do("POST", account+"/disable", nil, 204)
		j.do("POST", account+"/enable", nil, 204)
		j.do("DELETE", account, nil, 204)
	}

	j.do("GET", "/audit?limit=5&order=newest", nil, 200)
	j.do("GET", "/audit?namespace=acme&since=2026-01-01T00:00:00Z", nil, 200)
	j.do("POST", "/audit/verify", nil, 200)
	j.do("POST", "/gc", object{"dry_run": true}, 200)
	j.do("POST", "/fsck", object{"repair": false}, 200)
	j.do("POST", "/reindex", nil, 200)
	j.do("POST", "/adopt", object{"dry_run": true}, 200)
	j.complete()
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}
