package artifacttypes

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type listView struct{ View }

func (listView) URL() string { return "https://host/acme/toy" }

func TestWriteList(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, accept, want string }{
		{"JSON", "*/*", `[{"name":"a b"},{"name":"x:\u003cy\u003e"}]`},
		{
			"HTML", "text/html", "<!doctype html>\n<title>https://host/acme/toy/p&amp;q/1%2F2/</title>\n<base href=\"https://host/acme/toy/p&amp;q/1%2F2/\">\n" +
				"<li><a href=\"a%20b\">a b</a>\n<li><a href=\"./x:%3Cy%3E\">x:&lt;y&gt;</a>\n",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			r.Header.Set("Accept", tt.accept)
			if err := WriteList(w, r, listView{}, []Entry{{Name: "a b"}, {Name: "x:<y>"}}, "p&q", "1/2"); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, w.Body.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got := w.Header().Get("Vary"); got != "Accept" {
				t.Errorf("Vary %q", got)
			}
		})
	}
}
