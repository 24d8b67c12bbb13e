package admin

import (
	"context"
	"strings"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/feed"
)

// Ref tells a package's OCI reference.
const Ref Name[RefParams, Reference] = "oci-name"

// RefParams name a package the way its ecosystem does.
type RefParams struct {
	Namespace string `json:"namespace"`
	Format    string `json:"format" doc:"npm, pypi, maven, …"`
	Name      string `json:"name" doc:"the package's, such as @acme/widget"`
	Version   string `json:"version,omitempty"`
}

// Reference is where a package, or one version of it, lies as an OCI artifact,
// or would lie.
type Reference struct {
	Repository registry.Repo `json:"repository"`
	Tag        registry.Tag  `json:"tag,omitempty"`
	Name       string        `json:"name" doc:"the canonical form"`
	Version    string        `json:"version,omitempty" doc:"the canonical form"`
	Whole      string        `json:"reference" doc:"what OCI clients take: host, repository and tag"`
}

// reference looks nothing up: it says where a name would lie, to anyone.
func reference(ctx context.Context, env *Env, p RefParams, _ Report) (Reference, error) {
	ref, err := env.Feeds.Locate(p.Namespace, p.Format, p.Name, p.Version)
	if err != nil {
		return Reference{}, err
	}
	_, host, _ := strings.Cut(registry.CallerOf(ctx).Base, "://")
	return ReferenceOf(ref, host), nil
}

// ReferenceOf is ref at a host.
func ReferenceOf(ref feed.Reference, host string) Reference {
	return Reference{
		Repository: ref.Repository, Tag: ref.Tag, Name: ref.Name, Version: ref.Version,
		Whole: strings.TrimPrefix(host+"/"+ref.String(), "/"),
	}
}
