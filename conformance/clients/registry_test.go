package clients

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/packhouse/packhouse/conformance/packhouse"
	"github.com/packhouse/packhouse/conformance/rig"
)

// registry is one running server as one test over one transport sees it.
type registry struct{ *rig.Registry }

// overHTTPAndTLS runs test against two servers at once and names the client for the support matrix.
func overHTTPAndTLS(t *testing.T, client, version string, test func(t *testing.T, r *registry)) {
	t.Helper()
	t.Attr("client", client)
	t.Attr("version", version)
	for _, transport := range []string{"HTTP", "TLS"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			test(t, start(t, transport == "TLS"))
		})
	}
}

func start(t *testing.T, tls bool) *registry {
	t.Helper()
	return &registry{rig.Start(t, packhouse.Options{TLS: tls})}
}

// certDir returns a directory with the authority's certificate under the name that the containers tools look for.
func (r *registry) certDir(t *testing.T) string {
	t.Helper()
	pem, err := os.ReadFile(r.CACert)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(r.File(t, "certs/ca.crt", pem))
}
