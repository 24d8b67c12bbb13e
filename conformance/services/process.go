package services

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	startTimeout = time.Minute
	stopTimeout  = time.Minute
	poll         = 10 * time.Millisecond
	portAttempts = 5
)

// process is one server program.
type process struct {
	name string
	log  string // file of what it printed, over all starts
	cmd  *exec.Cmd
	done chan struct{} // closed when the program was reaped
	err  error         // how it ended; read after done
}

// program says what is run.
type program struct {
	argv  []string
	env   []string            // added to this process's
	user  *syscall.Credential // nil: the user of this process
	death syscall.Signal      // what the program gets when this process ends
	stop  syscall.Signal      // what ends it in good order
}

// start runs the program and returns when ready succeeds.
func (p *process) start(ctx context.Context, g program, ready func(context.Context) error) error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644) //nolint:gosec // no secret
	if err != nil {
		return err
	}
	cmd := exec.Command(g.argv[0], g.argv[1:]...) //nolint:gosec,noctx // a server of the tests; ended by its owner
	cmd.Dir, cmd.Env = filepath.Dir(p.log), append(os.Environ(), g.env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: g.death, Credential: g.user}
	p.cmd, p.done, p.err = cmd, make(chan struct{}), nil
	started := make(chan error)
	go func() {
		// The parent-death signal follows the thread that forked: keep that thread until the child is gone.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
		_ = log.Close()
	}()
	if err := <-started; err != nil {
		return err
	}
	if err := p.await(ctx, ready); err != nil {
		_ = p.kill()
		return fmt.Errorf("%s: %w\n%s", p.name, err, p.logs())
	}
	return nil
}

func (p *process) await(ctx context.Context, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("it ended before it answered: %v", p.err)
		case <-ctx.Done():
			return fmt.Errorf("no answer: %w (%w)", err, ctx.Err())
		case <-tick.C:
		}
	}
}

// PID is the process id of the program's first process.
func (p *process) PID() int { return p.cmd.Process.Pid }

// running tells whether the program was started and has not ended.
func (p *process) running() bool {
	if p.done == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// end sends a signal and waits for the end.
func (p *process) end(sig syscall.Signal) error {
	if !p.running() {
		return nil
	}
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(stopTimeout):
		_ = p.kill()
		return fmt.Errorf("%s: still running %s after %s\n%s", p.name, stopTimeout, sig, p.logs())
	}
}

// kill ends the program and all that it started, at once.
func (p *process) kill() error {
	if !p.running() {
		return nil
	}
	// Children that made themselves leaders of groups, as those of PostgreSQL do, are not in the program's own. It stands
	// still first, so that it starts no more of them.
	pid := p.cmd.Process.Pid
	_ = syscall.Kill(-pid, syscall.SIGSTOP)
	started := children(pid)
	for _, child := range started {
		_ = syscall.Kill(child, syscall.SIGKILL)
	}
	err := syscall.Kill(-pid, syscall.SIGKILL)
	<-p.done
	// A child that is not quite dead holds on to what the next start needs.
	for _, child := range started {
		for alive(child) {
			<-time.After(time.Millisecond)
		}
	}
	return err
}

// alive tells whether a process is more than an entry in the table.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z") && !strings.HasPrefix(state, "X")
}

// each signals the program and all that it started.
func (p *process) each(sig syscall.Signal) error {
	if !p.running() {
		return fmt.Errorf("%s does not run", p.name)
	}
	pid := p.cmd.Process.Pid
	err := syscall.Kill(pid, sig)
	for _, child := range children(pid) {
		_ = syscall.Kill(child, sig) // it may have ended
	}
	return err
}

func (p *process) logs() string {
	out, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(out)
}

// children are the processes whose parent is pid.
func children(pid int) []int {
	var list []int
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		stat, err := os.ReadFile(path) //nolint:gosec // of /proc
		if err != nil {
			continue // it has ended
		}
		var child, parent int
		var state string
		// PID (NAME) STATE PPID …, see proc(5); the name may hold anything.
		end := strings.LastIndex(string(stat), ") ")
		if end < 0 {
			continue
		}
		if _, err := fmt.Sscanf(string(stat[end+2:]), "%s %d", &state, &parent); err != nil || parent != pid {
			continue
		}
		if _, err := fmt.Sscan(string(stat), &child); err == nil {
			list = append(list, child)
		}
	}
	return list
}

// onFreePort calls start with addresses that were free just before, until one of them could still be had.
func onFreePort(ctx context.Context, start func(addr string) error) error {
	var errs []error
	for range portAttempts {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		addr := l.Addr().String()
		if err := l.Close(); err != nil {
			return err
		}
		if err = start(addr); err == nil {
			return nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// accepts reports an error unless something listens on addr.
func accepts(ctx context.Context, addr string) error {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return c.Close()
}
