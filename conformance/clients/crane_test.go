package clients

import (
	"strings"
	"testing"
)

func TestCrane(t *testing.T) {
	t.Parallel()
	crane, version := goTool(t, "crane")
	overHTTPAndTLS(t, "crane", version, func(t *testing.T, r *registry) {
		image, imageDigest := r.layout(t, "image", "amd64")
		arm, _ := r.layout(t, "arm", "arm64")
		app := r.Host + "/crane/app"
		t.Run("push, pull and validate", func(t *testing.T) {
			got := r.run(t, crane, "push", image, app+":v1")
			equal(t, "pushed", strings.TrimSpace(got), app+"@"+imageDigest)
			equal(t, "stored", r.whole(t, "crane/app", "v1").digest, imageDigest)
			r.run(t, crane, "validate", "--remote", app+":v1")
			r.run(t, crane, "pull", "--format=oci", app+"@"+imageDigest, r.home+"/pulled")
			r.run(t, crane, "push", r.home+"/pulled", app+":again")
			equal(t, "pulled and pushed again", r.whole(t, "crane/app", "again").digest, imageDigest)
		})
		t.Run("multi-platform index", func(t *testing.T) {
			r.run(t, crane, "push", arm, app+":arm")
			r.run(t, crane, "index", "append", "-m", app+":v1", "-m", app+":arm", "-t", app+":multi")
			equal(t, "children", len(r.whole(t, "crane/app", "multi").Manifests), 2)
			contains(t, r.run(t, crane, "config", "--platform=linux/arm64", app+":multi"), `"arm64"`)
			r.run(t, crane, "index", "filter", app+":multi", "--platform=linux/amd64", "-t", app+":amd64")
			equal(t, "children after filter", len(r.whole(t, "crane/app", "amd64").Manifests), 1)
		})
		t.Run("copy to another repository", func(t *testing.T) {
			r.run(t, crane, "copy", app+":multi", r.Host+"/crane/copy:multi")
			equal(t, "copied", r.whole(t, "crane/copy", "multi").digest, r.whole(t, "crane/app", "multi").digest)
		})
		t.Run("append and mutate", func(t *testing.T) {
			layer, _ := tarGzip(t, map[string][]byte{"extra": []byte("extra")})
			r.run(t, crane, "append", "-b", app+":v1", "-f", r.file(t, "extra.tar.gz", layer), "-t", app+":v2")
			equal(t, "layers after append", len(r.whole(t, "crane/app", "v2").Layers), 2)
			r.run(t, crane, "mutate", app+":v2", "--label", "a=b", "-t", app+":v3")
			contains(t, r.run(t, crane, "config", app+":v3"), `"a":"b"`)
		})
		t.Run("tag, ls, catalog, digest and delete", func(t *testing.T) {
			r.run(t, crane, "tag", app+":v1", "stable")
			equal(t, "tags", strings.Join(strings.Fields(r.run(t, crane, "ls", app)), " "), "again amd64 arm multi stable v1 v2 v3")
			equal(t, "catalog", strings.Join(strings.Fields(r.run(t, crane, "catalog", r.Host)), " "), "crane/app crane/copy")
			v3 := strings.TrimSpace(r.run(t, crane, "digest", app+":v3"))
			r.run(t, crane, "delete", app+"@"+v3)
			r.gone(t, "/v2/crane/app/manifests/v3")
			r.gone(t, "/v2/crane/app/manifests/"+v3)
		})
	})
}
