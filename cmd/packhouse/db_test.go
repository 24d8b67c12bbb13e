package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/packhouse/packhouse/storage/meta/metatest"
)

// TestPostgres runs the scripts that need an empty database, $POSTGRES.
func TestPostgres(t *testing.T) {
	t.Parallel()
	url := metatest.Postgres(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/postgres",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("POSTGRES", url)
			return nil
		},
		Cmds: scriptCommands(),
	})
}
