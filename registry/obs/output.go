package obs

import (
	"errors"
	"io"
	"sync"
	"time"
)

const (
	flushSize  = 64 << 10
	flushAfter = time.Second
)

// Output collects log lines and writes them in large pieces. Application lines
// go out at once, through Write; access lines wait for company.
type Output struct {
	mu     sync.Mutex
	w      io.Writer
	buf    []byte
	timer  *time.Timer // runs while buf holds something
	closed bool
	err    error // the first failed write; reported by Close
}

// NewOutput writes to w, which stays the caller's to close.
func NewOutput(w io.Writer) *Output {
	o := &Output{w: w, buf: make([]byte, 0, flushSize+4<<10)}
	o.timer = time.AfterFunc(flushAfter, o.Flush)
	o.timer.Stop()
	return o
}

// Write writes one line, after all that waits.
func (o *Output) Write(line []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.buf = append(o.buf, line...)
	o.flush()
	return len(line), nil
}

// appendLine lets format append one line to what waits.
func (o *Output) appendLine(format func(buf []byte) []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.buf) == 0 {
		o.timer.Reset(flushAfter)
	}
	o.buf = format(o.buf)
	if len(o.buf) >= flushSize || o.closed {
		o.flush()
	}
}

// Flush writes what waits.
func (o *Output) Flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flush()
}

func (o *Output) flush() {
	o.timer.Stop()
	if len(o.buf) == 0 {
		return
	}
	// A log that cannot be written must not stop the registry.
	if _, err := o.w.Write(o.buf); err != nil {
		o.err = errors.Join(o.err, err)
	}
	o.buf = o.buf[:0]
}

// Close writes what waits; later lines are written at once. It returns the
// errors of all writes.
func (o *Output) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.flush()
	return o.err
}
