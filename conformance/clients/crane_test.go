package clients

import (
	"strings"
	"testing"

	"github.com/packhouse/packhouse/conformance/rig"
)

func TestCrane(t *testing.T) {
	t.Parallel()
	crane, version := rig.Tool(t, "crane")
	overHTTPAndTLS(t, "crane", version, func(t *testing.T, r *registry) {
		image, imageDigest := r.layout(t, "image", "amd64")
		arm, _ := r.layout(t, "arm", "arm64")
		app := r.Host + "/crane/app"
		t.Run("push, pull and validate", func(t *testing.T) {
			got := r.Run(t, crane, "push", image, app+":v1")
			rig.Equal(t, "pushed", strings.TrimSpace(got), app+"@"+imageDigest)
			rig.Equal(t, "stored", r.Whole(t, "crane/app", "v1").Digest, imageDigest)
			r.Run(t, crane, "validate", "--remote", app+":v1")
			r.Run(t, crane, "pull", "--format=oci", app+"@"+imageDigest, r.Home+"/pulled")
			r.Run(t, crane, "push", r.Home+"/pulled", app+":again")
			rig.Equal(t, "pulled and pushed again", r.Whole(t, "crane/app", "again").Digest, imageDigest)
		})
		t.Run("multi-platform index", func(t *testing.T) {
			r.Run(t, crane, "push", arm, app+":arm")
			r.Run(t, crane, "index", "append", "-m", app+":v1", "-m", app+":arm", "-t", app+":multi")
			rig.Equal(t, "children", len(r.Whole(t, "crane/app", "multi").Manifests), 2)
			rig.Contains(t, r.Run(t, crane, "config", "--platform=linux/arm64", app+":multi"), `"arm64"`)
			r.Run(t, crane, "index", "filter", app+":multi", "--platform=linux/amd64", "-t", app+":amd64")
			rig.Equal(t, "children after filter", len(r.Whole(t, "crane/app", "amd64").Manifests), 1)
		})
		t.Run("copy to another repository", func(t *testing.T) {
			r.Run(t, crane, "copy", app+":multi", r.Host+"/crane/copy:multi")
			rig.Equal(t, "copied", r.Whole(t, "crane/copy", "multi").Digest, r.Whole(t, "crane/app", "multi").Digest)
		})
		t.Run("append and mutate", func(t *testing.T) {
			layer, _ := tarGzip(t, map[string][]byte{"extra": []byte("extra")})
			r.Run(t, crane, "append", "-b", app+":v1", "-f", r.File(t, "extra.tar.gz", layer), "-t", app+":v2")
			rig.Equal(t, "layers after append", len(r.Whole(t, "crane/app", "v2").Layers), 2)
			r.Run(t, crane, "mutate", app+":v2", "--label", "a=b", "-t", app+":v3")
			rig.Contains(t, r.Run(t, crane, "config", app+":v3"), `"a":"b"`)
		})
		t.Run("tag, ls, catalog, digest and delete", func(t *testing.T) {
			r.Run(t, crane, "tag", app+":v1", "stable")
			rig.Equal(t, "tags", strings.Join(strings.Fields(r.Run(t, crane, "ls", app)), " "), "again amd64 arm multi stable v1 v2 v3")
			rig.Equal(t, "catalog", strings.Join(strings.Fields(r.Run(t, crane, "catalog", r.Host)), " "), "crane/app crane/copy")
			v3 := strings.TrimSpace(r.Run(t, crane, "digest", app+":v3"))
			r.Run(t, crane, "delete", app+"@"+v3)
			r.Gone(t, "/v2/crane/app/manifests/v3")
			r.Gone(t, "/v2/crane/app/manifests/"+v3)
		})
	})
}
