package meta

import (
	"errors"
	"sync/atomic"
	"time"
)

// Stats count what a store did since it was opened.
type Stats struct {
	Retried     uint64 // transactions that were run again
	Unavailable uint64 // changes that were answered with ErrUnavailable
	Uncertain   uint64 // and with ErrUncertain

	Open, InUse int           // connections now
	Waits       int64         // for a connection
	Waited      time.Duration // all of them together
}

// watch is what a writer tells of its commits.
type watch struct {
	spans     *spans
	committed func(changes int, took time.Duration) // may be nil

	retried, unavailable, uncertain atomic.Uint64
}

// took notes a commit of some changes that began then.
func (w *watch) took(changes int, began time.Time) {
	if w.committed != nil {
		w.committed(changes, time.Since(began))
	}
}

// told notes what a change's caller is answered.
func (w *watch) told(err error) {
	switch {
	case err == nil:
	case errors.Is(err, ErrUncertain):
		w.uncertain.Add(1)
	case errors.Is(err, ErrUnavailable):
		w.unavailable.Add(1)
	}
}
