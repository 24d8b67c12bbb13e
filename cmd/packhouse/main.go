// Command packhouse is an OCI-native artifact registry and the commands to
// operate it. It only wires packages together: main.go and one file for each
// command.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes; the root command's help lists them.
const (
	exitFailed = 1
	exitUsage  = 2
	exitDamage = 3
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first signal asks for a graceful end. From then on signals have
	// their default effect again, so the second one ends the process at once.
	context.AfterFunc(ctx, stop)
	err := rootCommand().ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "packhouse:", err)
	if coded, ok := errors.AsType[*exitError](err); ok {
		return coded.code
	}
	return exitFailed
}

// exitError is an error with an exit code of its own.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func usageError(err error) error {
	if err == nil {
		return nil
	}
	return &exitError{exitUsage, err}
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "packhouse",
		Short: "An OCI-native artifact registry",
		Long: `Packhouse is an OCI-native artifact registry: one server, one data directory.

Commands other than serve talk to the server that has the data directory; when
none runs they open the directory themselves. With --server URL or
PACKHOUSE_SERVER they talk to that server, as whoever packhouse login says.

Exit codes: 0 done, 1 failed or answered no, 2 wrong usage or configuration, 3 fsck
or audit verify found damage.`,
		Example: `  packhouse serve
  packhouse serve --data /var/lib/packhouse --addr 127.0.0.1:8080
  packhouse repo list`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError(fmt.Errorf("%w: see `%s --help`", err, cmd.CommandPath()))
	})
	root.AddCommand(
		serveCommand(),
		configCommand(),
		namespaceCommand(),
		feedCommand(),
		repoCommand(),
		tagCommand(),
		refCommand(),
		formatCommand(),
		userCommand(),
		groupCommand(),
		saCommand(),
		tokenCommand(),
		grantCommand(),
		trustCommand(),
		canCommand(),
		applyCommand(),
		accessCommand(),
		auditCommand(),
		loginCommand(),
		logoutCommand(),
		whoamiCommand(),
		reindexCommand(),
		gcCommand(),
		restoreCommand(),
		fsckCommand(),
		storageCommand(),
		migrateCommand(),
		dbCommand(),
		adoptCommand(),
		apiCommand(),
		readyCommand(),
		versionCommand(),
	)
	checkArguments(root)
	return root
}

// checkArguments makes wrong arguments usage errors, on every command; one that
// only groups others shows its help.
func checkArguments(cmd *cobra.Command) {
	if cmd.HasSubCommands() {
		cmd.DisableFlagsInUseLine = true // it takes none
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usageError(fmt.Errorf("%w: see `%s --help`", err, cmd.CommandPath()))
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		checkArguments(sub)
	}
}
