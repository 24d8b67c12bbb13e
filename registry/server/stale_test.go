package server

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry"
)

func TestWarningOfStaleAnswers(t *testing.T) {
	t.Parallel()
	const warning = `110 - "Response is Stale"`
	for _, tt := range []struct {
		name   string
		method string
		stale  bool
		answer func(http.ResponseWriter)
		want   []string
	}{
		{"fresh", http.MethodGet, false, func(w http.ResponseWriter) { w.WriteHeader(http.StatusOK) }, nil},
		{"status", http.MethodGet, true, func(w http.ResponseWriter) { w.WriteHeader(http.StatusOK) }, []string{warning}},
		{"no status", http.MethodHead, true, func(w http.ResponseWriter) { _, _ = w.Write([]byte("x")) }, []string{warning}},
		{"not modified", http.MethodGet, true, func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotModified) }, []string{warning}},
		{"refused", http.MethodGet, true, func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) }, nil},
		{"beside another", http.MethodGet, true, func(w http.ResponseWriter) {
			w.Header().Add("Warning", `299 - "other"`)
			w.WriteHeader(http.StatusOK)
		}, []string{`299 - "other"`, warning}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, rec := newCaller(tt.method), httptest.NewRecorder()
			if !c.Reads.Lenient {
				t.Error("not lenient")
			}
			c.Reads.Stale.Store(tt.stale)
			tt.answer(&exchange{ResponseWriter: rec, reads: c.Reads})
			if diff := cmp.Diff(tt.want, rec.Result().Header["Warning"]); diff != "" {
				t.Errorf("Warning (-want +got):\n%s", diff)
			}
		})
	}
	for _, method := range []string{http.MethodPut, http.MethodPost, http.MethodPatch, http.MethodDelete} {
		if newCaller(method).Reads.Lenient {
			t.Errorf("%s may rely on stale answers", method)
		}
	}
	if registry.ReadsOf(registry.WithCaller(t.Context(), newCaller(http.MethodGet))) == nil {
		t.Error("a request's context has no Reads")
	}
}
