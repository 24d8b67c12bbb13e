package server

import (
	"context"
	"log"
	"log/slog"
	"strings"
)

// connectionLog takes what net/http says about connections: clients that
// break a handshake or go away are not the operator's concern.
func connectionLog(l *slog.Logger) *log.Logger { return log.New(connections{l}, "", 0) }

type connections struct{ log *slog.Logger }

func (c connections) Write(line []byte) (int, error) {
	c.log.DebugContext(context.Background(), "connection", "detail", strings.TrimSuffix(string(line), "\n"))
	return len(line), nil
}
