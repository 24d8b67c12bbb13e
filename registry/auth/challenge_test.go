package auth

import "testing"

func TestChallenge(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name                              string
		kind, realm, service, scope, code string
		want                              string
	}{
		{"Basic", ChallengeBasic, "packhouse", "", "", "", `Basic realm="packhouse",charset="UTF-8"`},
		{"Basic has no scope", ChallengeBasic, "packhouse", "h", "s", "e", `Basic realm="packhouse",charset="UTF-8"`},
		{"version check", ChallengeBearer, "https://h/token", "h", "", "", `Bearer realm="https://h/token",service="h"`},
		{"push", ChallengeBearer, "https://h/token", "h", "repository:acme/app:pull,push", "", `Bearer realm="https://h/token",service="h",scope="repository:acme/app:pull,push"`},
		{"narrow", ChallengeBearer, "https://h/token", "h", "repository:acme/app:pull", "insufficient_scope", `Bearer realm="https://h/token",service="h",scope="repository:acme/app:pull",error="insufficient_scope"`},
		{"cargo", ChallengeCargo, "https://h/-/ui/tokens", "h", "s", "e", `Cargo login_url="https://h/-/ui/tokens"`},
		{"hostile host", ChallengeBearer, "https://h\",x=\"\\\r\nSet-Cookie: a/token", "h\x00é", "", "", `Bearer realm="https://h\",x=\"\\Set-Cookie: a/token",service="h"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := Challenge(tt.kind, tt.realm, tt.service, tt.scope, tt.code); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}
