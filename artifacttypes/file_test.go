package artifacttypes

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry"
)

func TestPrecondition(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		h    http.Header
		want registry.Condition
	}{
		{"none", http.Header{}, registry.Condition{}},
		{"anything", http.Header{"If-None-Match": {"*"}}, registry.Condition{NoneMatch: []string{"*"}}},
		{"list", http.Header{"If-Match": {`"a:1", "b:2"`, ` "c:3"`}}, registry.Condition{Match: []string{"a:1", "b:2", "c:3"}}},
		{"empty matches nothing", http.Header{"If-Match": {""}}, registry.Condition{Match: []string{""}}},
		{"weak matches nothing", http.Header{"If-Match": {`W/"a:1"`}}, registry.Condition{Match: []string{`W/"a:1`}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, Precondition(tt.h)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestCheckSums(t *testing.T) {
	t.Parallel()
	sums := map[string]string{"sha256": "00ff", "md5": "0a"} // base64: AP8=, Cg==
	tests := []struct {
		name string
		h    http.Header
		ok   bool
	}{
		{"nothing said", http.Header{}, true},
		{"RFC 9530", http.Header{"Repr-Digest": {"sha-256=:AP8=:, md5=:Cg==:"}, "Content-Digest": {"sha-256=:AP8=:"}}, true},
		{"one of two", http.Header{"Repr-Digest": {"sha-256=:AP8=:", "md5=:AP8=:"}}, false},
		{"either header", http.Header{"Repr-Digest": {"sha-256=:AP8=:"}, "Content-Digest": {"sha-256=:AAAA:"}}, false},
		{"not a byte sequence", http.Header{"Repr-Digest": {"sha-256=AP8="}}, false},
		{"parameter", http.Header{"Repr-Digest": {"sha-256=:AP8=:;a=1"}}, true},
		{"algorithm that is not known", http.Header{"Repr-Digest": {"sha-512=:AAAA:"}, "X-Checksum-Sha1": {"00"}}, true},
		{"RFC 1864", http.Header{"Content-Md5": {"Cg=="}}, true},
		{"RFC 1864, wrong", http.Header{"Content-Md5": {"Cgo="}}, false},
		{"hexadecimal", http.Header{"X-Checksum-Sha256": {" 00FF"}, "X-Checksum-Md5": {"0a"}}, true},
		{"hexadecimal, wrong", http.Header{"X-Checksum-Sha256": {"00"}}, false},
		{"hexadecimal, empty", http.Header{"X-Checksum-Md5": {""}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if err := CheckSums(tt.h, sums); (err == nil) != tt.ok || err != nil && !errors.Is(err, registry.DigestInvalid) {
				t.Errorf("%v: %v, want accepted %v", tt.h, err, tt.ok)
			}
		})
	}
}

func TestSetFile(t *testing.T) {
	t.Parallel()
	h := http.Header{}
	SetFile(h, registry.File{
		Descriptor: registry.Descriptor{Digest: "sha256:00ff"},
		Facts:      registry.FileFacts{Sums: map[string]string{"sha256": "00ff", "sha512": "01", "md5": "0a"}},
	})
	want := http.Header{
		"Etag": {`"sha256:00ff"`}, "Last-Modified": {"Mon, 01 Jan 0001 00:00:00 GMT"}, "Repr-Digest": {"sha-256=:AP8=:, sha-512=:AQ==:"},
		"X-Checksum-Sha256": {"00ff"}, "X-Checksum-Sha512": {"01"}, "X-Checksum-Md5": {"0a"},
	}
	if diff := cmp.Diff(want, h); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := CheckSums(h, map[string]string{"sha256": "00ff", "sha512": "01", "md5": "0a"}); err != nil {
		t.Errorf("what is said of a file is not what is read: %v", err)
	}
}

func TestCheckPath(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"a", ".a", "...", "a b", "ü", "con", "1:2", strings.Repeat("a", 255), "-"} {
		if err := CheckPath(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", ".", "..", "a/b", `a\b`, "\x00", "a\n", "\x7f", "\u0085", "\xff", strings.Repeat("a", 256)} {
		if err := CheckPath("a", bad); !errors.Is(err, registry.ManifestInvalid) {
			t.Errorf("%q: %v, want MANIFEST_INVALID", bad, err)
		}
	}
}
