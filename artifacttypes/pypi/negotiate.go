package pypi

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/packhouse/packhouse/registry"
)

// The media types of simple pages, PEP 691.
const (
	simpleJSONType = "application/vnd.pypi.simple.v1+json"
	simpleHTMLType = "application/vnd.pypi.simple.v1+html"
	textHTMLType   = "text/html; charset=utf-8"
)

// offers are the types a simple page is asked for by, the preferred first. A
// client that takes anything, such as a browser, gets HTML.
var offers = []struct {
	asked, answer string
}{
	{"text/html", textHTMLType},
	{simpleJSONType, simpleJSONType},
	{"application/vnd.pypi.simple.latest+json", simpleJSONType},
	{simpleHTMLType, simpleHTMLType},
	{"application/vnd.pypi.simple.latest+html", simpleHTMLType},
}

// negotiate returns the Content-Type of the answer, by the Accept header or,
// as PEP 691 allows, the parameter "format". It returns notAcceptable.
func negotiate(r *http.Request) (string, error) {
	accept := strings.Join(r.Header.Values("Accept"), ",")
	if format := r.URL.Query().Get("format"); format != "" {
		accept = format
	}
	if strings.TrimSpace(accept) == "" {
		return textHTMLType, nil
	}
	ranges := parseAccept(accept)
	best, answer := 0.0, ""
	for _, offer := range offers {
		if q := quality(ranges, offer.asked); q > best {
			best, answer = q, offer.answer
		}
	}
	if answer == "" {
		return "", registry.E("pypi.negotiate", notAcceptable, nil, "ask for %s, %s or text/html: there is no other form of this page", simpleJSONType, simpleHTMLType)
	}
	return answer, nil
}

// mediaRange is one element of an Accept header, RFC 9110 section 12.5.1.
type mediaRange struct {
	pattern string
	q       float64
}

func parseAccept(header string) []mediaRange {
	const most = 32 // elements that are looked at
	var ranges []mediaRange
	for element := range strings.SplitSeq(header, ",") {
		pattern, parameters, _ := strings.Cut(element, ";")
		m := mediaRange{strings.ToLower(strings.TrimSpace(pattern)), 1}
		for parameter := range strings.SplitSeq(parameters, ";") {
			if key, value, _ := strings.Cut(parameter, "="); strings.EqualFold(strings.TrimSpace(key), "q") {
				q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
				if err != nil || !(q >= 0 && q <= 1) {
					q = 0
				}
				m.q = q
			}
		}
		if ranges = append(ranges, m); len(ranges) == most {
			break
		}
	}
	return ranges
}

// quality is how much the ranges want mediaType: what the most specific one
// that matches says.
func quality(ranges []mediaRange, mediaType string) float64 {
	top, _, _ := strings.Cut(mediaType, "/")
	for _, pattern := range []string{mediaType, top + "/*", "*/*"} {
		for _, m := range ranges {
			if m.pattern == pattern {
				return m.q
			}
		}
	}
	return 0
}
