package engine

import (
	"fmt"
	"strings"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// quotaExceeded says what a namespace may hold, what it holds, and what would
// have come on top.
func quotaExceeded(op string, e *meta.QuotaError) error {
	size := func(n int64) string {
		if n == 1 {
			return "1 " + strings.TrimSuffix(e.What, "s")
		}
		return fmt.Sprintf("%d %s", n, e.What)
	}
	if e.What == "bytes" {
		size = sizeText
	}
	name := "namespace " + e.Namespace
	if e.Namespace == "" {
		name = "the root namespace"
	}
	holds := " and holds " + size(e.Used)
	if e.Wanted > 0 {
		holds = ", holds " + size(e.Used) + " and would take " + size(e.Wanted) + " more"
	}
	return registry.E(op, registry.QuotaExceeded, e, "%s may hold %s%s: delete something, empty the trash, or ask its administrator for more", name, size(e.Limit), holds).
		WithDetail(map[string]any{"namespace": e.Namespace, "what": e.What, "used": e.Used, "limit": e.Limit})
}

// sizeText writes bytes as people say them, rounded down, so that what is not
// full does not look it.
func sizeText(n int64) string {
	const units = "KMGTPE"
	unit := -1
	whole, tenths := n, int64(0)
	for whole >= 1<<10 && unit < len(units)-1 {
		whole, tenths = whole>>10, whole%(1<<10)*10>>10
		unit++
	}
	switch {
	case unit < 0 && n == 1:
		return "1 byte"
	case unit < 0:
		return fmt.Sprintf("%d bytes", n)
	case tenths == 0:
		return fmt.Sprintf("%d %ciB", whole, units[unit])
	}
	return fmt.Sprintf("%d.%d %ciB", whole, tenths, units[unit])
}
