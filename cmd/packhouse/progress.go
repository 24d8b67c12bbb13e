package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/packhouse/packhouse/registry/admin"
)

// progress shows how far long work has come: a bar that is redrawn on a
// terminal, a line now and then elsewhere.
type progress struct {
	w        io.Writer
	terminal bool
	width    func() int
	now      func() time.Time

	mu      sync.Mutex
	phase   string
	started time.Time // the phase
	shown   time.Time
	drawn   bool // a bar stands on the last line
}

const (
	redrawEvery = 100 * time.Millisecond
	logEvery    = 5 * time.Second
	barWidth    = 24
)

func newProgress(w io.Writer) *progress {
	p := &progress{w: w, width: func() int { return 80 }, now: time.Now}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.terminal = true
		p.width = func() int {
			width, _, err := term.GetSize(int(f.Fd()))
			if err != nil || width < 1 {
				return 80
			}
			return width
		}
	}
	return p
}

// report takes one state. It may be called often and from any goroutine.
func (p *progress) report(s admin.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if s.Phase != p.phase {
		p.phase, p.started = s.Phase, now
		if !p.terminal {
			p.shown = now // short work makes no line at all
		}
	}
	every := logEvery
	if p.terminal {
		every = redrawEvery
	}
	if now.Sub(p.shown) < every {
		return
	}
	p.shown = now
	text := p.text(s, now.Sub(p.started))
	if !p.terminal {
		_, _ = fmt.Fprintln(p.w, text) // progress nobody sees is no failure
		return
	}
	if width := p.width() - 1; len(text) > width {
		text = text[:width]
	}
	_, _ = fmt.Fprint(p.w, "\r\x1b[K", text)
	p.drawn = true
}

// finish clears the bar.
func (p *progress) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.drawn {
		_, _ = fmt.Fprint(p.w, "\r\x1b[K")
		p.drawn = false
	}
}

func (p *progress) text(s admin.Progress, elapsed time.Duration) string {
	count := func(n int64) string {
		if s.Unit == "bytes" {
			return size(n)
		}
		return fmt.Sprint(n)
	}
	unit := ""
	if s.Unit != "bytes" && s.Unit != "" {
		unit = " " + s.Unit
	}
	if s.Total <= 0 || s.Done > s.Total {
		return fmt.Sprintf("%s: %s%s, %s", s.Phase, count(s.Done), unit, elapsed.Round(time.Second))
	}
	share := float64(s.Done) / float64(s.Total)
	left := "…"
	if s.Done > 0 && elapsed >= time.Second {
		left = time.Duration(float64(elapsed)*(1-share)/share).Round(time.Second).String() + " left"
	}
	text := fmt.Sprintf("%3.0f%% %s of %s%s, %s", 100*share, count(s.Done), count(s.Total), unit, left)
	if !p.terminal {
		return s.Phase + ": " + strings.TrimSpace(text)
	}
	full := int(share * barWidth)
	return fmt.Sprintf("%s [%s%s] %s", s.Phase, strings.Repeat("#", full), strings.Repeat(".", barWidth-full), text)
}
