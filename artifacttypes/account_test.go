package artifacttypes_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// TestOpen: in an open registry whoever logs in is in, and what would narrow
// somebody down is refused rather than ignored.
func TestOpen(t *testing.T) {
	t.Parallel()
	ctx, everybody := t.Context(), artifacttypes.Open{}
	login, err := everybody.Login(ctx, "jo", "x")
	if err != nil || login == "" {
		t.Errorf("Login: %q, %v", login, err)
	}
	done, waiting, err := everybody.WebDone(ctx, "", "")
	if err != nil || waiting || done != login {
		t.Errorf("WebDone: %q, %v, %v", done, waiting, err)
	}
	if err := everybody.Allow(ctx, registry.Admin, "x"); err != nil {
		t.Errorf("Allow: %v", err)
	}
	if err := everybody.SetPublic(ctx, "x", true); err != nil {
		t.Errorf("SetPublic: %v", err)
	}
	if err := everybody.SetPublic(ctx, "x", false); !errors.Is(err, registry.Denied) {
		t.Errorf("SetPublic(false): %v, want DENIED", err)
	}
	if _, err := everybody.CreateToken(ctx, "", artifacttypes.NewToken{ReadOnly: true}); !errors.Is(err, registry.Denied) {
		t.Errorf("CreateToken: %v, want DENIED", err)
	}
}

// TestErrorHeaderChallenges: a 401 says how to log in, by what is there already
// if anything is.
func TestErrorHeaderChallenges(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		code      registry.Code
		set, want string
	}{
		{registry.Unauthorized, "", `Basic realm="packhouse"`},
		{registry.Unauthorized, `Bearer realm="x"`, `Bearer realm="x"`},
		{registry.Denied, "", ""},
	} {
		w := httptest.NewRecorder()
		if test.set != "" {
			w.Header().Set("WWW-Authenticate", test.set)
		}
		status := artifacttypes.ErrorHeader(w, registry.E("test", test.code, nil, "no"))
		if got := w.Header().Get("WWW-Authenticate"); got != test.want || status != test.code.HTTPStatus() || (status == http.StatusUnauthorized) != (got != "") {
			t.Errorf("%s: %d, challenge %q, want %q", test.code, status, got, test.want)
		}
	}
}
