package packhouse

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

func (s *Server) addrFile() string { return filepath.Join(s.Data, "addr") }

func (s *Server) awaitAnswer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	var last error
	for {
		if last = s.answers(ctx); last == nil {
			return nil
		}
		select {
		case <-s.done:
			return fmt.Errorf("the server ended before it answered: %v", s.err)
		case <-ctx.Done():
			return fmt.Errorf("no answer: %w (%w)", last, ctx.Err())
		case <-tick.C:
		}
	}
}

func (s *Server) answers(ctx context.Context) error {
	if s.URL == "" {
		if err := s.readAddr(); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/v2/", nil)
	if err != nil {
		return err
	}
	client := s.Client()
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusUnauthorized {
		return fmt.Errorf("GET /v2/ answered %s", res.Status)
	}
	return nil
}

func (s *Server) readAddr() error {
	content, err := os.ReadFile(s.addrFile())
	if err != nil {
		return err
	}
	// Both lines end with a newline: a file that is half written is read again.
	lines := strings.Split(string(content), "\n")
	if len(lines) < 2 {
		return errors.New("the address file is not complete yet")
	}
	base, err := url.Parse(strings.TrimRight(lines[0], "/"))
	if err != nil {
		return err
	}
	s.Host, s.MetricsURL = base.Host, strings.TrimRight(lines[1], "/")
	s.URL = base.String()
	return nil
}
