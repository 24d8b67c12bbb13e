package services

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
)

// PutMultipart stores size bytes of content as an object by a multipart upload, flight parts at once, each signed with
// its SHA-256: what a client does that has no other business.
//
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
func (s *S3) PutMultipart(ctx context.Context, bucket, key string, content io.ReaderAt, size, part int64, flight int) error {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: flight, WriteBufferSize: 64 << 10}}
	defer client.CloseIdleConnections()
	path := "/" + bucket + "/" + key
	var begun struct{ UploadId string } //nolint:revive // S3's own spelling
	if err := s.exchange(ctx, client, http.MethodPost, path, url.Values{"uploads": {""}}, nil, nil, &begun); err != nil {
		return err
	}
	type sent struct {
		PartNumber int
		ETag       string
	}
	parts := make([]sent, (size+part-1)/part)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	numbers := make(chan int)
	var sending sync.WaitGroup
	for range flight {
		sending.Go(func() {
			buffer := make([]byte, part)
			for i := range numbers {
				body := buffer[:min(part, size-int64(i)*part)]
				_, err := content.ReadAt(body, int64(i)*part)
				if err == nil || errors.Is(err, io.EOF) {
					query := url.Values{"partNumber": {strconv.Itoa(i + 1)}, "uploadId": {begun.UploadId}}
					var head http.Header
					err = s.exchange(ctx, client, http.MethodPut, path, query, body, &head, nil)
					parts[i] = sent{i + 1, head.Get("ETag")}
				}
				if err != nil {
					cancel(err)
				}
			}
		})
	}
	for i := range parts {
		numbers <- i
	}
	close(numbers)
	sending.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	list, err := xml.Marshal(struct {
		XMLName xml.Name `xml:"CompleteMultipartUpload"`
		Part    []sent
	}{Part: parts})
	if err != nil {
		return err
	}
	return s.exchange(ctx, client, http.MethodPost, path, url.Values{"uploadId": {begun.UploadId}}, list, nil, nil)
}

// exchange sends one signed request and decodes its answer's header and body where they are wanted.
func (s *S3) exchange(ctx context.Context, client *http.Client, method, path string, query url.Values, body []byte, head *http.Header, answer any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+s.Addr+path+"?"+query.Encode(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	sign(req, hex.EncodeToString(sum[:]))
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %.500s", method, path, res.Status, text)
	}
	if head != nil {
		*head = res.Header
	}
	if answer == nil {
		return nil
	}
	return xml.Unmarshal(text, answer)
}

// Remove deletes an object.
func (s *S3) Remove(ctx context.Context, bucket, key string) error {
	status, body, err := s.Do(ctx, http.MethodDelete, "/"+bucket+"/"+key, nil)
	if err == nil && status != http.StatusNoContent {
		err = fmt.Errorf("delete %s of %s: status %d: %s", key, bucket, status, body)
	}
	return err
}
