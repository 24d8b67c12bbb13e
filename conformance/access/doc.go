// Package access drives real clients against the real packhouse binary that asks who they are: each logs in as it is used
// to, publishes and reads in a namespace that is its user's, is refused in one that is not, and is refused everywhere once
// its token was revoked or its user disabled.
//
//	story_test.go      the story that every client lives through
//	transcript_test.go what clients printed, made comparable; testdata/CLIENT.golden
//	…_test.go          how each client is set up and what it runs
//
// The golden files hold what people read who are refused. `go test ./access -update` writes them anew; what changed is then
// for a person to judge.
package access
