package tools

import (
	"context"
	"path"
)

// goModule is a main package of a Go module, from the Go module proxy.
type goModule struct{}

// Clients lists the Go tools that the tests drive, those that build fastest first.
func Clients() []Tool {
	return []Tool{
		{"crane", "github.com/google/go-containerregistry/cmd/crane", "v0.22.1", goModule{}},
		{"oras", "oras.land/oras/cmd/oras", "v1.3.6", goModule{}},
		{"regctl", "github.com/regclient/regclient/cmd/regctl", "v0.11.7", goModule{}},
		{"helm", "helm.sh/helm/v3/cmd/helm", "v3.22.0", goModule{}},
		{"cosign2", "github.com/sigstore/cosign/v2/cmd/cosign", "v2.6.5", goModule{}},
		{"cosign3", "github.com/sigstore/cosign/v3/cmd/cosign", "v3.1.3", goModule{}},
	}
}

// Peers lists the registries that Packhouse is compared with and whose data it takes over.
func Peers() []Tool {
	return []Tool{{"distribution", "github.com/distribution/distribution/v3/cmd/registry", "v3.1.2", goModule{}}}
}

// Services lists the servers and proxies that replicas are run with, but for those that Debian has.
func Services() []Tool {
	return []Tool{
		{"toxiproxy", "github.com/Shopify/toxiproxy/v2/cmd/server", "v2.5.0", goModule{}},
		{"versitygw", "github.com/versity/versitygw/cmd/versitygw", "v1.8.0", goModule{}},
	}
}

// MoreServices lists those that take minutes to build.
func MoreServices() []Tool {
	return []Tool{{"minio", "github.com/minio/minio", "v0.0.0-20260212201848-7aac2a2c5b7c", goModule{}}}
}

func (goModule) program(t Tool) string { return path.Base(t.Package) }

// A machine without a C compiler will do.
func (goModule) install(ctx context.Context, t Tool, dir string) error {
	env := []string{"GOBIN=" + dir, "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0"}
	return run(ctx, "", env, "go", "install", t.Package+"@"+t.Version)
}
