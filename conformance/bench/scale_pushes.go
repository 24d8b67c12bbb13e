package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// What packhouse sends to S3, and therefore the bare upload, too.
const (
	partSize   = 5 * mib
	partFlight = 4
)

// pushes measures the push of one large blob from the body's first byte to the 201, beside S3 by itself.
func (s *stage) pushes(ctx context.Context) (err error) {
	size := int64(s.amount(1<<10, 128)) * mib
	dir := filepath.Join(s.dir, "push-source")
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	f, err := newFile(dir, 200, size)
	if err != nil {
		return err
	}
	r, err := s.registry(ctx, "pushes")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.end(ctx)) }()
	names := []string{packhouseName, distributionS3Name, multipartName}
	w := row{
		name:    fmt.Sprintf("push of one blob of %d MiB to S3, first byte to 201", size/mib),
		unit:    "MiB",
		peers:   names,
		targets: []target{{distributionS3Name, 1}},
	}
	s.report.setting("s3-multipart: CreateMultipartUpload, UploadPart of %d MiB, %d at once, each signed with its SHA-256, CompleteMultipartUpload, from the file that is pushed: what packhouse asks of S3 for the same blob, without a client that sends it and without its digest", partSize/mib, partFlight)
	runs := map[string][]measurement{}
	w.runs = runs
	err = s.turns(ctx, w, func(ctx context.Context, name string, _ int) (measurement, error) {
		switch name {
		case multipartName:
			content, err := os.Open(f.path)
			if err != nil {
				return measurement{}, err
			}
			m, err := timed(f.size, 0, func() error {
				return s.set.S3.PutMultipart(ctx, multipartName, "blob", content, f.size, partSize, partFlight)
			})
			return m, errors.Join(err, content.Close(), s.set.S3.Remove(ctx, multipartName, "blob"))
		case packhouseName:
			// An empty registry each time: nothing of the blob is there.
			if err := r.start(ctx, 1); err != nil {
				return measurement{}, err
			}
			m, err := s.pushOnce(ctx, r.peers()[0], f)
			return m, errors.Join(err, s.renew(ctx, r))
		}
		return s.pushDistribution(ctx, f)
	})
	if err != nil || len(runs[multipartName]) == 0 {
		return err
	}
	took := func(m measurement) time.Duration { return m.took }
	ours, theirs := median(collect(runs[packhouseName], took)), median(collect(runs[multipartName], took))
	s.report.atMost(w.name+", of the time of the bare multipart upload", ours.Seconds()/theirs.Seconds(), 1.1, "×",
		fmt.Sprintf("(%.2f against %.2f s)", ours.Seconds(), theirs.Seconds()))
	return nil
}

// renew gives r an empty database and bucket for the next turn, and frees what the blob took.
func (s *stage) renew(ctx context.Context, r *registry) error {
	keys, err := s.set.S3.Objects(ctx, r.Bucket)
	for _, key := range keys {
		err = errors.Join(err, s.set.S3.Remove(ctx, r.Bucket, key))
	}
	if err := errors.Join(err, r.end(ctx)); err != nil {
		return err
	}
	fresh, err := s.registry(ctx, filepath.Base(r.dir))
	if err == nil {
		*r = *fresh
	}
	return err
}

// pushDistribution pushes to a distribution that is started for it.
func (s *stage) pushDistribution(ctx context.Context, f file) (m measurement, err error) {
	if err := s.set.Redis.Flush(ctx); err != nil { // what it remembers of the blob is gone
		return m, err
	}
	p, err := s.distribution(ctx, distributionS3Name)
	if err != nil {
		return m, err
	}
	m, err = s.pushOnce(ctx, p, f)
	err = errors.Join(err, p.stop())
	keys, failed := s.set.S3.Objects(ctx, distributionS3Name)
	err = errors.Join(err, failed)
	for _, key := range keys {
		err = errors.Join(err, s.set.S3.Remove(ctx, distributionS3Name, key))
	}
	return m, err
}

// pushOnce measures from the first byte of the body to the 201.
func (s *stage) pushOnce(ctx context.Context, p *peer, f file) (m measurement, err error) {
	c, err := dial(ctx, p.addr)
	if err != nil {
		return m, err
	}
	defer c.close()
	target, err := c.beginUpload(blobRepo, f.digest)
	if err != nil {
		return m, err
	}
	content, err := os.Open(f.path)
	if err != nil {
		return m, err
	}
	m, err = timed(f.size, p.pid, func() error {
		_, _, err := c.do(request{method: http.MethodPut, target: target, header: octetStream, stream: content, size: f.size, want: http.StatusCreated})
		return err
	})
	return m, errors.Join(err, content.Close())
}

// timed measures one push; pid is the server that is asked, 0 for none.
func timed(size int64, pid int, push func() error) (m measurement, err error) {
	var before time.Duration
	if pid != 0 {
		if before, err = processorTime(pid); err != nil {
			return m, err
		}
	}
	own, begin := ownTime(), time.Now()
	if err := push(); err != nil {
		return m, err
	}
	m = measurement{work: float64(size) / mib, took: time.Since(begin), loader: ownTime() - own}
	m.p50, m.p99 = m.took, m.took
	if pid == 0 {
		return m, nil
	}
	after, err := processorTime(pid)
	m.server = after - before
	return m, err
}
