package services

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/packhouse/packhouse/conformance/tools"
)

// S3 is one object store.
type S3 struct {
	Addr string // HOST:PORT
	Kind string // of S3Kinds

	process
	dir string
}

// What every client of the store uses.
const (
	S3Key    = "conformance"
	S3Secret = "conformance-secret"
	S3Region = "us-east-1"
)

// s3Kind is a program that serves a directory by S3.
type s3Kind struct {
	tool string
	argv func(binary, addr, dir string) []string
	env  []string
}

func s3Kinds() []s3Kind {
	return []s3Kind{
		{"versitygw", func(binary, addr, dir string) []string {
			return []string{binary, "--access", S3Key, "--secret", S3Secret, "--region", S3Region, "--port", addr, "--keep-alive", "--quiet", "posix", dir}
		}, nil},
		{"minio", func(binary, addr, dir string) []string {
			return []string{binary, "server", "--address", addr, "--quiet", dir}
		}, []string{"MINIO_ROOT_USER=" + S3Key, "MINIO_ROOT_PASSWORD=" + S3Secret, "MINIO_BROWSER=off", "MINIO_UPDATE=off", "MINIO_CI_CD=on"}},
	}
}

// StartS3 starts a store of a kind, "" for versitygw, in a directory of its own below dir, or of this process for "".
func StartS3(ctx context.Context, kind, dir string) (*S3, error) {
	var err error
	if dir == "" {
		if dir, err = scratch(); err != nil {
			return nil, err
		}
	}
	if kind == "" {
		kind = s3Kinds()[0].tool
	}
	s := &S3{Kind: kind, dir: filepath.Join(dir, "s3"), process: process{name: kind, log: filepath.Join(dir, "s3.log")}}
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		return nil, err
	}
	err = onFreePort(ctx, func(addr string) error {
		s.Addr = addr
		return s.Start(ctx)
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Start starts a store that was stopped or killed, on the same address.
func (s *S3) Start(ctx context.Context) error {
	for _, k := range s3Kinds() {
		if k.tool != s.Kind {
			continue
		}
		binary, err := installed(k.tool)
		if err != nil {
			return err
		}
		return s.start(ctx, program{argv: k.argv(binary, s.Addr, s.dir), env: k.env, death: syscall.SIGKILL}, func(ctx context.Context) error {
			status, _, err := s.Do(ctx, http.MethodGet, "/", nil)
			if err == nil && status != http.StatusOK {
				err = fmt.Errorf("list of buckets: status %d", status)
			}
			return err
		})
	}
	return fmt.Errorf("services: no S3 server is called %q", s.Kind)
}

// installed is the program of a pinned tool.
func installed(name string) (string, error) {
	tool, err := tools.Find(name)
	if err != nil {
		return "", err
	}
	path, err := tool.Path()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s is not installed, conformance/run installs it: %w", name, err)
	}
	return path, nil
}

// Stop ends the store in good order.
func (s *S3) Stop() error { return s.end(syscall.SIGTERM) }

// Kill ends the store by SIGKILL.
func (s *S3) Kill() error { return s.kill() }

// Pause stops the store in the middle of whatever it does, Resume lets it go on.
func (s *S3) Pause() error { return s.each(syscall.SIGSTOP) }

// Resume ends a pause.
func (s *S3) Resume() error { return s.each(syscall.SIGCONT) }

// Create makes an empty bucket.
func (s *S3) Create(ctx context.Context, bucket string) error {
	status, body, err := s.Do(ctx, http.MethodPut, "/"+bucket, nil)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("make bucket %s: status %d: %s", bucket, status, body)
	}
	return err
}

// Params are those of the registry's storage driver s3aws for a bucket, with the store at addr: the store's own, or that
// of what stands before it.
func (s *S3) Params(addr, bucket string) map[string]string {
	return map[string]string{
		"accesskey": S3Key, "secretkey": S3Secret, "region": S3Region, "regionendpoint": "http://" + addr,
		"bucket": bucket, "forcepathstyle": "true", "secure": "false",
	}
}

// Objects lists a bucket's keys.
func (s *S3) Objects(ctx context.Context, bucket string) ([]string, error) {
	var keys []string
	query := url.Values{"list-type": {"2"}}
	for {
		var page struct {
			Contents []struct{ Key string }
			Next     string `xml:"NextContinuationToken"`
		}
		if err := s.list(ctx, bucket, query, &page); err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			keys = append(keys, o.Key)
		}
		if page.Next == "" {
			return keys, nil
		}
		query.Set("continuation-token", page.Next)
	}
}

// Multiparts lists the keys of a bucket's uploads that nobody completed or aborted; at most a thousand.
func (s *S3) Multiparts(ctx context.Context, bucket string) ([]string, error) {
	var page struct {
		Upload []struct{ Key string }
	}
	if err := s.list(ctx, bucket, url.Values{"uploads": {""}}, &page); err != nil {
		return nil, err
	}
	var keys []string
	for _, u := range page.Upload {
		keys = append(keys, u.Key)
	}
	return keys, nil
}

func (s *S3) list(ctx context.Context, bucket string, query url.Values, page any) error {
	status, body, err := s.Do(ctx, http.MethodGet, "/"+bucket, query)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("list bucket %s: status %d: %s", bucket, status, body)
	}
	return xml.Unmarshal(body, page)
}

// Do sends one signed request without a body and returns the status and the body of the answer.
func (s *S3) Do(ctx context.Context, method, path string, query url.Values) (status int, body []byte, err error) {
	// A plus is a plus to the store, and a space is %20.
	target := "http://" + s.Addr + path + "?" + strings.ReplaceAll(query.Encode(), "+", "%20")
	req, err := http.NewRequestWithContext(ctx, method, target, nil)
	if err != nil {
		return 0, nil, err
	}
	sign(req, hexSum(""))
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	body, err = io.ReadAll(res.Body)
	return res.StatusCode, body, errors.Join(err, res.Body.Close())
}
