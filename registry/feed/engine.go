package feed

import (
	"maps"
	"slices"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry/engine"
)

// EngineFormats is what the engine must know of the formats.
func EngineFormats(formats []artifacttypes.Format) []engine.Format {
	list := make([]engine.Format, len(formats))
	for i, f := range formats {
		info := f.Info()
		list[i] = engine.Format{
			Name: info.Name, Parser: info.Parser, ArtifactTypes: info.ArtifactTypes, Sums: info.Sums, Fragments: info.Fragments,
			Repository: f.Repository, Tag: f.Tag, Label: f.Label, Inspect: f.Inspect, Describe: f.Describe, Envelope: f.Envelope, Fragment: f.Fragment,
		}
		if s, ok := f.(artifacttypes.Signed); ok {
			list[i].SignedText = s.SignedText
		}
	}
	return list
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
