package npm

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// without is a packument as npm sends it to unpublish versions.
func (p place) without(name string, versions ...string) (body, rev string) {
	p.T.Helper()
	d := p.packument(name)
	for _, v := range versions {
		delete(d.Versions, v)
	}
	raw, err := json.Marshal(d)
	if err != nil {
		p.T.Fatal(err)
	}
	return string(raw), d.Rev
}

// TestUnpublish follows npm's requests: one version, then the last, under a
// prefix and with a scope.
func TestUnpublish(t *testing.T) {
	t.Parallel()
	p := open(t)
	const name, path = "@acme/widget", "/@acme%2fwidget"
	p.publish(name, "1.0.0", "old")
	p.publish(name, "1.1.0", "next")
	p.publish(name, "2.0.0-rc.1", "rc")
	p.publish(name, "1.2.0")
	body, rev := p.without(name, "1.2.0")
	p.refused(http.StatusConflict, "was changed in the meantime", http.MethodPut, path+"/-rev/0-0", body)
	p.refused(http.StatusConflict, "still published", http.MethodDelete, "/@acme/widget/-/widget-1.2.0.tgz/-rev/"+rev, "")
	p.want(http.StatusCreated, http.MethodPut, path+"/-rev/"+rev, body)
	after := p.packument(name)
	if diff := cmp.Diff(map[string]string{"latest": "1.1.0", "next": "1.1.0", "old": "1.0.0", "rc": "2.0.0-rc.1"}, after.Tags); diff != "" {
		t.Error(diff)
	}
	p.sameTag("acme/widget", "latest", "1.1.0")
	if after.Rev == rev {
		t.Errorf("the revision is still %s", rev)
	}
	p.want(http.StatusOK, http.MethodDelete, "/@acme/widget/-/widget-1.2.0.tgz/-rev/"+after.Rev, "")
	p.want(http.StatusNotFound, http.MethodGet, "/@acme/widget/-/widget-1.2.0.tgz", "")
	p.want(http.StatusNotFound, http.MethodGet, path+"/1.2.0", "")
	// The version is gone for ever.
	again := publishing{name: name, version: "1.2.0", tarball: simple(`{"name":"@acme/widget","version":"1.2.0"}`)}
	p.refused(http.StatusForbidden, "You cannot publish over", http.MethodPut, path, again.body())

	p.refused(http.StatusConflict, "was changed in the meantime", http.MethodDelete, path+"/-rev/0-0", "")
	p.want(http.StatusOK, http.MethodDelete, path+"/-rev/"+p.packument(name).Rev, "")
	p.want(http.StatusNotFound, http.MethodGet, path, "")
	p.want(http.StatusNotFound, http.MethodGet, "/-/package/@acme%2fwidget/dist-tags", "")
	p.want(http.StatusNotFound, http.MethodDelete, path+"/-rev/9-0", "")
	// Another version makes it a package again.
	p.publish(name, "3.0.0", "next")
	if diff := cmp.Diff(map[string]string{"latest": "3.0.0", "next": "3.0.0"}, p.tags(name)); diff != "" {
		t.Error(diff)
	}
}

// TestUnpublishSpoilsNothingNew: a version that was published after the client
// read the document is not in what it sends back, and stays.
func TestUnpublishSpoilsNothingNew(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.publish("widget", "1.0.0")
	p.publish("widget", "1.1.0")
	body, rev := p.without("widget", "1.0.0")
	p.publish("widget", "1.2.0")
	p.refused(http.StatusConflict, "was changed in the meantime", http.MethodPut, "/widget/-rev/"+rev, body)
	if d := p.packument("widget"); len(d.Versions) != 3 {
		t.Errorf("%d versions, want 3", len(d.Versions))
	}
}

// clock is a view at another time, with a setting of its own.
type clock struct {
	artifacttypes.View
	window string
	now    time.Time
}

func (c clock) Setting(string) string { return c.window }
func (c clock) Now() time.Time        { return c.now }

func TestUnpublishWindow(t *testing.T) {
	t.Parallel()
	published := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		window string
		age    time.Duration
		want   bool
	}{
		{"72h", 0, true},
		{"72h", 72*time.Hour - 1, true},
		{"72h", 72 * time.Hour, false},
		{"0", 0, false},
		{"always", 9000 * time.Hour, true},
		{"nonsense", 0, false},
	} {
		err := mayUnpublish(clock{window: test.window, now: published.Add(test.age)}, "widget", registry.Version{Version: "1.0.0", Published: published})
		if (err == nil) != test.want {
			t.Errorf("window %s, age %s: %v, want allowed: %v", test.window, test.age, err, test.want)
		}
		if err != nil && registry.Public(err).Code != registry.Denied {
			t.Errorf("error = %v, want DENIED", err)
		}
	}
	for value, want := range map[string]bool{"72h": true, "0": true, "always": true, "": false, "-1h": false, "3 days": false} {
		if err := checkWindow(value); (err == nil) != want {
			t.Errorf("checkWindow(%q) = %v", value, err)
		}
	}
}
