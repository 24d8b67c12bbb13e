package access

import (
	"bytes"
	"context"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// reply is what is done when a client has printed a prompt.
type reply struct {
	prompt *regexp.Regexp
	answer func(printed string) string // typed in, with the end of a line; "" for nothing
}

// types is a reply that types a text.
func types(prompt, text string) reply {
	return reply{regexp.MustCompile(regexp.QuoteMeta(prompt)), func(string) string { return text }}
}

// run runs a command and returns what it printed, to one place as to a terminal.
func (a actor) run(t *testing.T, c command) (string, error) {
	t.Helper()
	return a.talk(t, c)
}

// talk runs a command that asks, and returns what it printed.
func (a actor) talk(t *testing.T, c command, replies ...reply) (string, error) {
	t.Helper()
	const limit = 2 * time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.argv[0], c.argv[1:]...)
	cmd.Dir, cmd.Env = filepath.Join(a.Home, c.dir), a.Env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 5 * time.Second
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	out := &listener{replies: replies}
	if len(replies) == 0 {
		cmd.Stdin = strings.NewReader(c.stdin)
	} else {
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out.in = in
	}
	cmd.Stdout, cmd.Stderr = out, out
	err := cmd.Run()
	t.Logf("$ %s\n%s", strings.Join(c.argv, " "), out.text.String())
	if len(out.replies) > 0 {
		t.Errorf("%s never printed %q", strings.Join(c.argv, " "), out.replies[0].prompt)
	}
	return out.text.String(), err
}

// listener answers the prompts in what a client prints, in their order.
type listener struct {
	sync.Mutex
	text    bytes.Buffer
	read    int // bytes of text that were answered
	in      io.Writer
	replies []reply
}

func (l *listener) Write(p []byte) (int, error) {
	l.Lock()
	defer l.Unlock()
	n, _ := l.text.Write(p) // never fails
	for len(l.replies) > 0 {
		at := l.replies[0].prompt.FindIndex(l.text.Bytes()[l.read:])
		if at == nil {
			break
		}
		l.read += at[1]
		if answer := l.replies[0].answer(l.text.String()); answer != "" {
			if _, err := io.WriteString(l.in, answer+"\n"); err != nil {
				return n, err
			}
		}
		l.replies = l.replies[1:]
	}
	return n, nil
}
