package packhouse

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

func (s *Server) command(ctx context.Context, o Options) ([]string, error) {
	binary := o.Binary
	if binary == "" {
		var err error
		if binary, err = Binary(ctx); err != nil {
			return nil, err
		}
	}
	addr := o.Addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	args := append([]string{}, o.Wrap...)
	args = append(args, binary, "serve", "--data", s.Data, "--addr", addr, "--metrics-addr", "127.0.0.1:0")
	if o.TLS {
		pair, err := certificates(s.Data + ".tls")
		if err != nil {
			return nil, err
		}
		s.CACert = pair.authority
		args = append(args, "--tls-cert", pair.cert, "--tls-key", pair.key)
	}
	return append(args, o.Args...), nil
}

func (s *Server) exec(args, env []string) error {
	log, err := os.OpenFile(s.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	s.cmd = exec.Command(args[0], args[1:]...)
	s.cmd.Env = append(os.Environ(), env...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		// The parent-death signal follows the thread that forked: keep that thread until the child is gone.
		runtime.LockOSThread()
		err := s.cmd.Start()
		started <- err
		if err == nil {
			s.err = s.cmd.Wait()
			close(s.done)
		}
		_ = log.Close()
	}()
	return <-started
}

// signal reaches the whole process group, so that a wrapping command does not shield the server.
func (s *Server) signal(sig syscall.Signal) error {
	err := syscall.Kill(-s.cmd.Process.Pid, sig)
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}
