package server

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/packhouse/packhouse/registry/feed"
)

// Usage is what to type to use the registry at base, a URL without a trailing
// slash: one line for each client.
func Usage(base string, feeds *feed.Handler) string {
	scheme, host, _ := strings.Cut(base, "://")
	plainHTTP, noTLS, srcNoTLS := "", "", ""
	if scheme == "http" {
		plainHTTP, noTLS, srcNoTLS = " --plain-http", " --tls-verify=false", " --dest-tls-verify=false"
	}
	var b strings.Builder
	for _, l := range [][2]string{
		{"docker", fmt.Sprintf("docker tag IMAGE %[1]s/IMAGE && docker push %[1]s/IMAGE", host)},
		{"podman", fmt.Sprintf("podman push%s IMAGE %s/IMAGE", noTLS, host)},
		{"skopeo", fmt.Sprintf("skopeo copy%s docker://docker.io/library/alpine docker://%s/alpine", srcNoTLS, host)},
		{"helm", fmt.Sprintf("helm push%s CHART.tgz oci://%s/acme/helm", plainHTTP, host)},
		{"oras", fmt.Sprintf("oras push%s %s/files:v1 FILE", plainHTTP, host)},
	} {
		fmt.Fprintf(&b, "  %-7s %s\n", l[0], l[1])
	}
	if feeds != nil {
		for _, u := range feeds.Usage(base, "acme") {
			fmt.Fprintf(&b, "  %-7s %s\n", u.Client, u.Command)
		}
	}
	return b.String()
}

// welcome is the page at "/".
func (h *handler) welcome(w http.ResponseWriter, r *http.Request, proxied bool) {
	answerProbe(w, r, http.StatusOK, "Packhouse "+h.version+", an OCI-native artifact registry.\n\n"+Usage(h.baseURL(r, proxied), h.feeds))
}
