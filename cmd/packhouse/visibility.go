package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/packhouse/packhouse/registry/admin"
)

// inherit is how people write that nothing is set.
const inherit = "inherit"

// visibilityCommand says who sees a namespace, a feed or a repository.
func visibilityCommand[P any](what, example string, offer func(*operator) completion, otherwise string,
	call func(name, visibility string) (admin.Name[P, admin.None], P),
) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "visibility " + strings.ToUpper(what) + " public|private|inherit",
		Short: "Say whether everybody may read a " + what,
		Long: `Say whether everybody, logged in or not, may read and list a ` + what + `. What counts is
the setting that is nearest above a name; without any it is private: for those to
whom it is granted. "inherit" removes the setting: ` + otherwise + `.`,
		Example: "  packhouse " + what + " visibility " + example + ` public
  packhouse ` + what + " visibility " + example + " inherit",
		Args: cobra.ExactArgs(2),
	}
	o := newOperator(cmd)
	names := offer(o)
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) == 1 {
			return []cobra.Completion{"public", "private", inherit}, cobra.ShellCompDirectiveNoFileComp
		}
		return names(cmd, args, prefix)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		visibility := args[1]
		if visibility == inherit {
			visibility = ""
		}
		n, p := call(args[0], visibility)
		done, err := operate(cmd.Context(), o, n, p)
		if err != nil {
			return err
		}
		if args[1] == inherit {
			return o.say(done, "%s is %s", args[0], otherwise)
		}
		return o.say(done, "%s is %s", args[0], args[1])
	}
	return cmd
}
