package admin

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// attributes writes names and values, but for values that are empty.
func attributes(pairs ...string) string {
	var parts []string
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			parts = append(parts, pairs[i]+" "+pairs[i+1])
		}
	}
	if parts == nil {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// differences writes names with the value that was and that is to be, where
// they differ.
func differences(triples ...string) string {
	var parts []string
	for i := 0; i+2 < len(triples); i += 3 {
		if triples[i+1] != triples[i+2] {
			parts = append(parts, fmt.Sprintf("%s %s → %s", triples[i], orNone(triples[i+1]), orNone(triples[i+2])))
		}
	}
	return ": " + strings.Join(parts, ", ")
}

func orNone(s string) string { return cmp.Or(s, "none") }

func isTrue(b bool) string {
	if b {
		return "true"
	}
	return ""
}

func quotaText(q *Quota) string {
	var parts []string
	if q != nil && q.Bytes != nil {
		parts = append(parts, fmt.Sprintf("%d bytes", *q.Bytes))
	}
	if q != nil && q.Manifests != nil {
		parts = append(parts, fmt.Sprintf("%d manifests", *q.Manifests))
	}
	return orNone(strings.Join(parts, ", "))
}

// sortedBy ranges over a map in the order of texts of its keys.
func sortedBy[K comparable, V any](m map[K]V, text func(K) string) []K {
	return slices.SortedFunc(maps.Keys(m), func(a, b K) int { return cmp.Compare(text(a), text(b)) })
}

func trustKeyOf(namespace string, t TrustFile) trustKey {
	claims, _ := json.Marshal(t.Claims) // strings, in the order of their names
	return trustKey{namespace, t.Issuer, t.Audience, string(claims), t.Role, t.Repositories}
}

func (t trustKey) claimMap() map[string]string {
	var claims map[string]string
	_ = json.Unmarshal([]byte(t.claims), &claims) // what trustKeyOf wrote
	return claims
}

func (t trustKey) params(name string) TrustAddParams {
	return TrustAddParams{
		TrustParams: TrustParams{name}, Namespace: t.namespace, Issuer: t.issuer, Audience: t.audience,
		Claims: t.claimMap(), Role: t.role, Repositories: t.repositories,
	}
}

func (t trustKey) String() string {
	text := fmt.Sprintf("%s on %s for %s with %s", t.role, t.repositories, t.issuer, t.claims)
	if t.audience != "" {
		text += " for audience " + t.audience
	}
	return text
}
