package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	startTimeout = 2 * time.Minute // devpi on a busy machine
	stopTimeout  = 30 * time.Second
	clockTick    = 10 * time.Millisecond // of utime and stime in /proc; USER_HZ is 100 on every Linux
)

// spawn starts a server that shall listen on addr, and waits until it does. The server dies with this program.
func spawn(ctx context.Context, logFile, addr string, env []string, argv ...string) (pid int, stop func() error, err error) {
	log, err := os.Create(logFile)
	if err != nil {
		return 0, nil, err
	}
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:noctx,gosec // stop ends it, with time to drain; the programs are our peers
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started, ended := make(chan error), make(chan struct{})
	go func() {
		// The parent-death signal follows the thread that forked: keep that thread until the child is gone.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
		_ = log.Close()
		close(ended)
	}()
	if err := <-started; err != nil {
		return 0, nil, err
	}
	stop = func() error { return terminate(cmd.Process.Pid, ended) }
	if err := awaitListener(ctx, addr, ended); err != nil {
		output, _ := os.ReadFile(logFile)
		return 0, nil, errors.Join(fmt.Errorf("%s: %w\n%s", argv[0], err, output), stop())
	}
	return cmd.Process.Pid, stop, nil
}

func terminate(pid int, ended <-chan struct{}) error {
	// A process that has already ended is what was wanted.
	_ = syscall.Kill(-pid, syscall.SIGTERM)
	select {
	case <-ended:
		return nil
	case <-time.After(stopTimeout):
		_ = syscall.Kill(-pid, syscall.SIGKILL)
		<-ended
		return fmt.Errorf("process %d was still running %s after SIGTERM", pid, stopTimeout)
	}
}

func awaitListener(ctx context.Context, addr string, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var dialer net.Dialer
	for {
		c, err := dialer.DialContext(ctx, "tcp", addr)
		if err == nil {
			return c.Close()
		}
		select {
		case <-ended:
			return errors.New("it ended before it listened")
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-tick.C:
		}
	}
}

// freeAddr finds an address for a program that cannot be told to find one itself.
func freeAddr(ctx context.Context) (string, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// processorTime is what the process and its children, such as nginx's workers, have used so far.
func processorTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The second field is the name, in parentheses, and may hold anything; utime and stime are the 14th and 15th.
	text := string(stat)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	var used time.Duration
	for _, field := range fields[11:13] {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		used += time.Duration(ticks) * clockTick
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0, err
	}
	for field := range strings.FieldsSeq(string(children)) {
		child, err := strconv.Atoi(field)
		if err != nil {
			return 0, err
		}
		more, err := processorTime(child)
		if err != nil {
			return 0, err
		}
		used += more
	}
	return used, nil
}

// memoryOf reads one line of /proc/PID/status, such as VmRSS (resident now) or VmHWM (its peak), in MiB.
func memoryOf(pid int, key string) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, key+":"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			return kib / 1024, err
		}
	}
	return 0, fmt.Errorf("process %d has no %s", pid, key)
}

// forgetPeak makes VmHWM start again from what is resident now.
func forgetPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}
