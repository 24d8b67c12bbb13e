package packhouse

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/packhouse/packhouse/conformance/services"
)

const (
	startTimeout = time.Minute
	stopTimeout  = time.Minute
	poll         = 5 * time.Millisecond
)

// Options say how one server process is started.
type Options struct {
	Data   string   // data directory; made when absent, required
	TLS    bool     // serve https with a certificate for 127.0.0.1, ::1 and localhost
	Env    []string // added to this process's environment, KEY=VALUE
	Args   []string // added after `serve --data … --addr … --metrics-addr …`
	Addr   string   // listen address, default 127.0.0.1:0
	Binary string   // default: Binary()
	Wrap   []string // command put in front of the binary, for example {"strace", "-f", "-o", file}

	// Replicas is how many processes serve one address, each request the next of them; 0 is what PACKHOUSE_REPLICAS says, or
	// one. More than one share a database, a bucket and a Redis: those that Env names, or fresh ones for each Data.
	Replicas int
}

// Server is one running process, or several replicas behind one address.
type Server struct {
	URL        string          // clients' base URL without a trailing slash
	Host       string          // HOST:PORT of URL, as it is written in an image reference
	MetricsURL string          // second listener's base URL; empty when there is none
	Data       string          // data directory; of replicas, that of the first
	CACert     string          // PEM file of the authority that signed the certificate; empty without TLS
	LogFile    string          // output of the process
	StartedIn  time.Duration   // from exec to the first answer of /v2/
	Shared     []string        // what replicas share, as environment variables: a command needs it while no server runs
	Place      *services.Place // where they keep it; nil for one process, and where Options.Env says where
	Replicas   []*Server       // the processes, with addresses of their own; none for one process

	options  Options // of a replica: how it is started again
	balancer *balancer
	cmd      *exec.Cmd
	done     chan struct{} // closed when the process was reaped
	err      error         // how it ended; read after done
}

// Start runs the binary and returns when it answers, or an error with its log when it exits or stays silent for a minute.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.Data == "" {
		return nil, errors.New("packhouse: Options.Data is required")
	}
	n, err := o.replicas()
	if err != nil {
		return nil, err
	}
	if n > 1 {
		return startReplicas(ctx, o, n)
	}
	return startOne(ctx, o)
}

func startOne(ctx context.Context, o Options) (*Server, error) {
	data, err := filepath.Abs(o.Data)
	if err != nil {
		return nil, err
	}
	s := &Server{Data: data, LogFile: data + ".log", done: make(chan struct{}), options: o}
	if err := os.MkdirAll(data, 0o755); err != nil {
		return nil, err
	}
	// A killed server leaves its address behind.
	if err := os.Remove(s.addrFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	args, err := s.command(ctx, o)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	if err := s.exec(args, o.Env); err != nil {
		return nil, err
	}
	if err := s.awaitAnswer(ctx); err != nil {
		_ = s.Kill()
		return nil, fmt.Errorf("packhouse: %w\n%s", err, s.Logs())
	}
	s.StartedIn = time.Since(begin)
	return s, nil
}

// Stop sends SIGTERM and waits for the end; it returns how the process ended, nil for status 0. A process that has not
// drained after a minute is killed and that is an error.
func (s *Server) Stop() error {
	if s.balancer != nil {
		return s.end((*Server).Stop)
	}
	select {
	case <-s.done:
		return s.err
	default:
	}
	if err := s.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-s.done:
		return s.err
	case <-time.After(stopTimeout):
		_ = s.Kill()
		return fmt.Errorf("packhouse: still running %s after SIGTERM\n%s", stopTimeout, s.Logs())
	}
}

// Kill sends SIGKILL and waits until the process is gone.
func (s *Server) Kill() error {
	if s.balancer != nil {
		return s.end((*Server).Kill)
	}
	err := s.signal(syscall.SIGKILL)
	<-s.done
	return err
}

// Done is closed when the process has ended, by whatever cause; of replicas, when all have.
func (s *Server) Done() <-chan struct{} { return s.done }

// PID is the process id of the server (of the wrapping command when Options.Wrap is set); of replicas, that of the first.
func (s *Server) PID() int { return s.PIDs()[0] }

// PIDs are the process ids of all replicas.
func (s *Server) PIDs() []int {
	if s.balancer == nil {
		return []int{s.cmd.Process.Pid}
	}
	ids := make([]int, len(s.Replicas))
	for i, r := range s.Replicas {
		ids[i] = r.PID()
	}
	return ids
}

// Logs returns all output of the starts on this data directory so far.
func (s *Server) Logs() string {
	if s.balancer != nil {
		return s.allLogs()
	}
	out, err := os.ReadFile(s.LogFile)
	if err != nil {
		return err.Error()
	}
	return string(out)
}

// Client returns an HTTP client that trusts the server's certificate and takes no proxy from the environment.
func (s *Server) Client() *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 64, ForceAttemptHTTP2: true}
	if s.CACert != "" {
		roots := x509.NewCertPool()
		if pem, err := os.ReadFile(s.CACert); err == nil {
			roots.AppendCertsFromPEM(pem)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	}
	return &http.Client{Transport: transport}
}
