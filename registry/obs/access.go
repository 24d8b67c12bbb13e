package obs

import (
	"encoding/json"
	"strconv"
	"time"
)

// Request is what the access log says about one request.
type Request struct {
	Start     time.Time
	Duration  time.Duration
	ID        string
	Client    string // address, without port where that is known
	Method    string
	URI       string // as sent
	Kind      string // route kind
	Repo      string // "" if the request named none
	Principal string // "" where nobody is asked who they are
	Status    int
	BytesIn   int64 // of the request's body, as far as it was read
	BytesOut  int64 // of the answer's body
	UserAgent string
	TraceID   string // hexadecimal, "" for a request without a trace
}

// Access writes one line for each request.
type Access struct {
	out    *Output
	object bool // JSON, not key=value
	clock  clock
}

// NewAccess logs to out, in format "text" or "json": the same shape as the
// lines of [NewLogger], with msg "request".
func NewAccess(out *Output, format string) *Access {
	return &Access{out: out, object: format == "json"}
}

// Log writes r's line. A nil Access writes nothing.
func (a *Access) Log(r *Request) {
	if a == nil {
		return
	}
	a.out.appendLine(func(buf []byte) []byte {
		l := line{buf: buf, object: a.object}
		l.begin(&a.clock, r.Start)
		l.text("request_id", r.ID)
		l.text("client", r.Client)
		l.text("method", r.Method)
		l.text("uri", r.URI)
		l.text("kind", r.Kind)
		if r.Repo != "" {
			l.text("repo", r.Repo)
		}
		if r.Principal != "" {
			l.text("principal", r.Principal)
		}
		l.number("status", int64(r.Status))
		l.millis("duration_ms", r.Duration)
		l.number("bytes_in", r.BytesIn)
		l.number("bytes_out", r.BytesOut)
		l.text("user_agent", r.UserAgent)
		if r.TraceID != "" {
			l.text("trace_id", r.TraceID)
		}
		return l.end()
	})
}

// line appends one log line. slog would do, at four times the cost.
type line struct {
	buf    []byte
	object bool
}

// clock formats times in local time with milliseconds, as slog does. It keeps
// the second, since formatting would be half of a line's cost. The Output's
// lock guards it.
type clock struct {
	second int64
	date   []byte // of second: "2006-01-02T15:04:05"
	zone   []byte // of second: "Z" or "+01:00"
}

func (c *clock) append(buf []byte, at time.Time) []byte {
	if second := at.Unix(); second != c.second || c.date == nil {
		c.second = second
		c.date = at.AppendFormat(c.date[:0], "2006-01-02T15:04:05")
		c.zone = at.AppendFormat(c.zone[:0], "Z07:00")
	}
	ms := at.Nanosecond() / 1e6
	buf = append(buf, c.date...)
	buf = append(buf, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
	return append(buf, c.zone...)
}

func (l *line) begin(c *clock, at time.Time) {
	if l.object {
		l.buf = append(l.buf, `{"time":"`...)
		l.buf = c.append(l.buf, at)
		l.buf = append(l.buf, `","level":"INFO","msg":"request"`...)
		return
	}
	l.buf = append(l.buf, "time="...)
	l.buf = c.append(l.buf, at)
	l.buf = append(l.buf, " level=INFO msg=request"...)
}

func (l *line) key(k string) {
	if l.object {
		l.buf = append(l.buf, `,"`...)
		l.buf = append(l.buf, k...)
		l.buf = append(l.buf, `":`...)
		return
	}
	l.buf = append(l.buf, ' ')
	l.buf = append(l.buf, k...)
	l.buf = append(l.buf, '=')
}

func (l *line) text(k, v string) {
	l.key(k)
	switch {
	case l.object && plain(v, false):
		l.buf = append(l.buf, '"')
		l.buf = append(l.buf, v...)
		l.buf = append(l.buf, '"')
	case l.object:
		quoted, _ := json.Marshal(v) // a string always does
		l.buf = append(l.buf, quoted...)
	case v != "" && plain(v, true):
		l.buf = append(l.buf, v...)
	default:
		l.buf = strconv.AppendQuote(l.buf, v)
	}
}

// plain tells whether v needs no escape; a bare word has no space or '='
// either.
func plain(v string, word bool) bool {
	for i := range len(v) {
		switch c := v[i]; {
		case c < ' ' || c >= 0x7f || c == '"' || c == '\\':
			return false
		case word && (c == ' ' || c == '='):
			return false
		}
	}
	return true
}

func (l *line) number(k string, n int64) {
	l.key(k)
	l.buf = strconv.AppendInt(l.buf, n, 10)
}

// millis writes a duration in milliseconds with three decimals.
func (l *line) millis(k string, d time.Duration) {
	l.key(k)
	us := d.Microseconds()
	l.buf = strconv.AppendInt(l.buf, us/1000, 10)
	l.buf = append(l.buf, '.', byte('0'+us/100%10), byte('0'+us/10%10), byte('0'+us%10))
}

func (l *line) end() []byte {
	if l.object {
		l.buf = append(l.buf, '}')
	}
	return append(l.buf, '\n')
}
