package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// password reads secrets that people type: from standard input, one a line, or
// from the terminal without an echo. They are never arguments, which every
// program on the machine can read.
type password struct {
	cmd   *cobra.Command
	stdin bool
	lines *bufio.Scanner
}

func passwordStdin(cmd *cobra.Command) *password {
	p := &password{cmd: cmd}
	cmd.Flags().BoolVar(&p.stdin, "password-stdin", false, "read the password from standard input")
	return p
}

// read asks for one that exists.
func (p *password) read(what string) (string, error) {
	if p.stdin {
		if p.lines == nil {
			p.lines = bufio.NewScanner(p.cmd.InOrStdin())
			p.lines.Buffer(nil, maxSecret)
		}
		if !p.lines.Scan() {
			err := errors.Join(p.lines.Err(), fmt.Errorf("standard input has no %s", what))
			return "", usageError(err)
		}
		return strings.TrimRight(p.lines.Text(), "\r"), nil
	}
	tty, ok := p.cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(tty.Fd())) {
		return "", usageError(fmt.Errorf("there is no terminal to ask for the %s at: pass --password-stdin", what))
	}
	_, _ = fmt.Fprintf(p.cmd.ErrOrStderr(), "%s: ", what)
	typed, err := term.ReadPassword(int(tty.Fd()))
	_, _ = fmt.Fprintln(p.cmd.ErrOrStderr())
	if err != nil {
		return "", fmt.Errorf("read the %s: %w", what, err)
	}
	return string(typed), nil
}

// fresh asks for a new one, at a terminal twice.
func (p *password) fresh(user string) (string, error) {
	first, err := p.read("new password of " + user)
	if err != nil || p.stdin {
		return first, err
	}
	second, err := p.read("the same again")
	if err == nil && first != second {
		err = usageError(errors.New("the two passwords differ: nothing was changed"))
	}
	return first, err
}

func errNoUser(principal string) error {
	return fmt.Errorf("%s has no password: name a user", principal)
}
