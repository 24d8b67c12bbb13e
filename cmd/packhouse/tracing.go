package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/otel"

	"github.com/packhouse/packhouse/registry/obs"
)

// startTracing starts what the OTEL_* variables ask for; it returns nil if
// they ask for nothing.
func startTracing(ctx context.Context, log *slog.Logger) (*obs.Tracing, error) {
	if !tracingAsked(os.Getenv) {
		return nil, nil //nolint:nilnil // a nil Tracing is one that makes no spans
	}
	t, err := obs.NewTracing(ctx, build())
	if err != nil {
		return nil, usageError(fmt.Errorf("start tracing as the OTEL_* variables say: %w", err))
	}
	// The library has no other way to say what went wrong while it sent spans.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		log.WarnContext(context.WithoutCancel(ctx), "spans could not be sent", "error", err)
	}))
	return t, nil
}

// tracingAsked tells whether the environment says where spans go. An SDK's own
// default, a collector on this machine, would mean errors in most logs.
func tracingAsked(getenv func(string) string) bool {
	if strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		return false
	}
	for _, name := range []string{"OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"} {
		if getenv(name) != "" {
			return true
		}
	}
	return false
}

// flushTimeout bounds how long spans may hold up the end of the process.
const flushTimeout = 5 * time.Second

func stopTracing(ctx context.Context, t *obs.Tracing) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	if err := t.Close(ctx); err != nil {
		return fmt.Errorf("send the last spans: %w", err)
	}
	return nil
}
