package pypi

import (
	"errors"
	"net/http/httptest"
	"testing"
)

func TestNegotiate(t *testing.T) {
	t.Parallel()
	const none = ""
	tests := []struct{ accept, query, want string }{
		{"", "", textHTMLType},
		{"*/*", "", textHTMLType},
		{"application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01", "", simpleJSONType}, // pip
		{"application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01", "", simpleJSONType},   // uv
		{"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "", textHTMLType},                                      // browsers
		{"application/vnd.pypi.simple.latest+json", "", simpleJSONType},
		{"application/vnd.pypi.simple.latest+html", "", simpleHTMLType},
		{"APPLICATION/VND.pypi.simple.v1+JSON", "", simpleJSONType},
		{"application/vnd.pypi.simple.v1+html", "", simpleHTMLType},
		{"application/*", "", simpleJSONType},
		{"text/html;q=0, */*;q=0.5", "", simpleJSONType},
		{"text/html;q=0", "", none},
		{"application/vnd.pypi.simple.v2+json", "", none},
		{"application/json", "", none},
		{"image/png", "", none},
		{"text/html;q=nonsense", "", none},
		{"text/html;q=2", "", none},
		{"text/html;q=NaN", "", none},
		{"text/html", "format=application/vnd.pypi.simple.v1%2Bjson", simpleJSONType},
		{"text/html", "format=image/png", none},
	}
	for _, tt := range tests {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/simple/?"+tt.query, nil)
		r.Header.Set("Accept", tt.accept)
		got, err := negotiate(r)
		if got != tt.want || tt.want == none && !errors.Is(err, notAcceptable) {
			t.Errorf("Accept %q %s: %q, %v, want %q", tt.accept, tt.query, got, err, tt.want)
		}
	}
}
