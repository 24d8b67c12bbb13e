package helm

import (
	"math"
	"regexp"
	"strconv"
	"strings"
)

var (
	// words that are no text, https://yaml.org/type/bool.html and float.html.
	words = map[string]any{
		"y": true, "Y": true, "yes": true, "Yes": true, "YES": true, "true": true, "True": true, "TRUE": true, "on": true, "On": true, "ON": true,
		"n": false, "N": false, "no": false, "No": false, "NO": false, "false": false, "False": false, "FALSE": false, "off": false, "Off": false, "OFF": false,
		"": nil, "~": nil, "null": nil, "Null": nil, "NULL": nil,
		".nan": math.NaN(), ".NaN": math.NaN(), ".NAN": math.NaN(),
		".inf": math.Inf(1), ".Inf": math.Inf(1), ".INF": math.Inf(1), "+.inf": math.Inf(1), "+.Inf": math.Inf(1), "+.INF": math.Inf(1),
		"-.inf": math.Inf(-1), "-.Inf": math.Inf(-1), "-.INF": math.Inf(-1),
	}
	floatForm = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)
	dateForm  = regexp.MustCompile(`^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([tT ]|$)`)
)

// resolve gives a plain scalar the type that YAML 1.1 gives it, as Helm's YAML
// does: nil, bool, int64, uint64, float64 or string.
func resolve(s string) any {
	if v, ok := words[s]; ok {
		return v
	}
	switch c := s[0]; {
	case c == '.':
		if f, err := strconv.ParseFloat(s, 64); err == nil {
			return f
		}
	case c == '+', c == '-', c >= '0' && c <= '9':
		if dateForm.MatchString(s) {
			return s
		}
		return number(s, strings.ReplaceAll(s, "_", ""))
	}
	return s
}

// number reads digits without their underscores; what is no number stays text.
func number(text, digits string) any {
	if i, err := strconv.ParseInt(digits, 0, 64); err == nil {
		return i
	}
	if u, err := strconv.ParseUint(digits, 0, 64); err == nil {
		return u
	}
	if floatForm.MatchString(digits) {
		if f, err := strconv.ParseFloat(digits, 64); err == nil {
			return f
		}
	}
	return text
}

// textOf is how a scalar reads where text is wanted: version: 1.10 is 1.1, as
// in Helm.
func textOf(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case uint64:
		return strconv.FormatUint(v, 10), true
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 32), true
	}
	return "", false
}

// keyOf is how a scalar reads as a key.
func keyOf(v any) (string, bool) {
	switch v := v.(type) {
	case uint64: // Helm takes none as large
		return "", false
	case float64:
		switch {
		case math.IsInf(v, 1):
			return ".inf", true
		case math.IsInf(v, -1):
			return "-.inf", true
		case math.IsNaN(v):
			return ".nan", true
		}
	}
	return textOf(v)
}
