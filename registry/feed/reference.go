package feed

import (
	"strings"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// Reference is where a package, or one version of it, lies as an OCI artifact.
type Reference struct {
	Repository registry.Repo `json:"repository"`
	Tag        registry.Tag  `json:"tag,omitempty"`
	Name       string        `json:"name"` // canonical
	Version    string        `json:"version,omitempty"`
}

// String is the reference without a host.
func (r Reference) String() string {
	if r.Tag == "" {
		return string(r.Repository)
	}
	return string(r.Repository) + ":" + string(r.Tag)
}

// Locate maps a package's native name, and version unless that is "", to its
// reference. Whether it is there is not asked. It returns NAME_INVALID,
// NAME_UNKNOWN, MANIFEST_INVALID.
func Locate(formats []artifacttypes.Format, namespace, format, name, version string) (Reference, error) {
	for _, f := range formats {
		if f.Info().Name == format {
			return locate(f, namespace, name, version)
		}
	}
	return Reference{}, registry.E("feed.Locate", registry.NameUnknown, nil, "there is no format %q", format)
}

func locate(f artifacttypes.Format, namespace, name, version string) (ref Reference, err error) {
	if ref.Name, ref.Version, err = f.Canonical(name, version); err != nil {
		return ref, err
	}
	path, err := f.Repository(ref.Name)
	if err != nil {
		return ref, err
	}
	if ref.Repository, err = registry.ParseRepo(namespace + "/" + f.Info().Name + "/" + path); err != nil || version == "" {
		return ref, err
	}
	ref.Tag, err = f.Tag(ref.Version)
	return ref, err
}

// Locate is the function of that name over the handler's formats.
func (h *Handler) Locate(namespace, format, name, version string) (Reference, error) {
	f := h.formats[format]
	if f == nil {
		return Reference{}, registry.E("feed.Locate", registry.NameUnknown, nil, "there is no format %q", format)
	}
	return locate(f.Format, namespace, name, version)
}

// Usage lists what to type to use a namespace's feeds, in the formats' order
// of names.
func (h *Handler) Usage(base, namespace string) []artifacttypes.Usage {
	var list []artifacttypes.Usage
	for _, name := range sortedKeys(h.formats) {
		for _, u := range h.formats[name].info.Usage {
			u.Command = strings.ReplaceAll(u.Command, artifacttypes.Base, base+"/"+namespace+"/"+name)
			list = append(list, u)
		}
	}
	return list
}
