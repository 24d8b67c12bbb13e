package s3

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/request"
	"github.com/aws/aws-sdk-go/service/s3"
	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
)

// writer writes one object: by one request if it is short, else by a multipart
// upload to its own key.
type writer struct {
	d      *Driver
	key    *string
	send   context.Context //nolint:containedctx // of requests that Write begins, which is given none
	cancel context.CancelCauseFunc
	detach func() bool // from the context that Writer was given

	upload  *string // id of the multipart upload, nil before there is one
	strayed bool    // the reply to its creation may have been lost once: another may be open
	filling *part
	parts   int64 // begun
	flying  int   // parts being sent
	landed  chan landed
	done    []*s3.CompletedPart
	size    int64
	ended   bool // Commit or Cancel was called
	sealed  bool // the object may be there
	err     error
}

// landed is a part that was sent, or was not.
type landed struct {
	number int64
	etag   *string
	err    error
}

// Writer starts an object; nothing is sent before there is a whole part.
// Appending is not supported.
func (d *Driver) Writer(ctx context.Context, path string, appending bool) (storagedriver.FileWriter, error) {
	if appending {
		return nil, errors.New("objects are written once: there is no appending to " + path)
	}
	w := &writer{d: d, key: d.key(path), landed: make(chan landed, flight), filling: &part{}}
	// What was written before a Commit is sent although ctx ends: ctx is then
	// the request's that brought it.
	w.send, w.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	w.detach = w.follow(ctx)
	return w, nil
}

// follow stops sending when ctx ends, until the function that it returns is
// called.
func (w *writer) follow(ctx context.Context) (detach func() bool) {
	return context.AfterFunc(ctx, func() { w.cancel(context.Cause(ctx)) })
}

// Write takes all of p, and waits while as many parts are being sent as may be.
func (w *writer) Write(p []byte) (int, error) {
	if w.ended {
		return 0, errors.New("the object was committed or cancelled before")
	}
	taken := 0
	for taken < len(p) && w.err == nil {
		if w.filling.size == w.d.ChunkSize {
			if w.err = w.fly(); w.err != nil {
				break
			}
		}
		n := w.filling.fill(p[taken:], w.d.ChunkSize)
		taken += n
		w.size += int64(n)
	}
	return taken, w.err
}

// Size is the number of bytes written.
func (w *writer) Size() int64 { return w.size }

// Commit makes the object. After an error it may be there all the same; Cancel
// then removes it.
func (w *writer) Commit(ctx context.Context) error {
	if w.ended {
		return errors.New("the object was committed or cancelled before")
	}
	w.ended = true
	w.detach()
	if w.err != nil {
		return w.err
	}
	defer w.follow(ctx)()
	if w.upload == nil {
		w.sealed = true
		w.err = w.put(ctx)
	} else {
		w.err = w.complete(ctx)
	}
	if w.err != nil {
		return w.err
	}
	w.filling.release()
	w.cancel(nil)
	if w.strayed {
		// The object is there: a leftover is found by AbortStale at the latest.
		_ = w.abort(ctx)
	}
	return nil
}

// put stores the whole object by one request.
func (w *writer) put(ctx context.Context) error {
	d := w.d
	_, err := d.client.PutObjectWithContext(ctx, &s3.PutObjectInput{
		Bucket: &d.Bucket, Key: w.key, Body: w.filling, ContentType: aws.String(contentType), ACL: &d.ObjectACL,
		ServerSideEncryption: d.encryption(), SSEKMSKeyId: d.encryptionKey(), StorageClass: d.class(),
	})
	return err
}

// complete sends the last part, waits for all and joins them.
func (w *writer) complete(ctx context.Context) error {
	if err := w.fly(); err != nil {
		return err
	}
	for w.flying > 0 {
		if err := w.land(); err != nil {
			return err
		}
	}
	slices.SortFunc(w.done, func(a, b *s3.CompletedPart) int { return int(*a.PartNumber - *b.PartNumber) })
	w.sealed = true
	_, err := w.d.slow.CompleteMultipartUploadWithContext(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &w.d.Bucket, Key: w.key, UploadId: w.upload, MultipartUpload: &s3.CompletedMultipartUpload{Parts: w.done},
	})
	return err
}

// fly begins to send the part that was filled, once there is a place for it:
// every upload has one, more come out of what all share.
func (w *writer) fly() error {
	if w.upload == nil {
		if err := w.begin(); err != nil {
			return err
		}
	}
	if w.parts == maxParts {
		return fmt.Errorf("the object has more than %d parts of %d bytes: set the storage's parameter chunksize to more", maxParts, w.d.ChunkSize)
	}
	p := w.filling
	for {
		for len(w.landed) > 0 {
			if err := w.land(); err != nil {
				return err
			}
		}
		if w.flying == 0 {
			break
		}
		if w.flying < flight && w.d.spare.TryAcquire(1) {
			p.spare = true
			break
		}
		if err := w.land(); err != nil {
			return err
		}
	}
	w.filling = &part{}
	w.parts++
	w.flying++
	p.number = w.parts
	go w.sendPart(p)
	return nil
}

func (w *writer) sendPart(p *part) {
	out, err := w.d.client.UploadPartWithContext(w.send, &s3.UploadPartInput{
		Bucket: &w.d.Bucket, Key: w.key, UploadId: w.upload, PartNumber: &p.number, Body: p,
	})
	if p.spare {
		w.d.spare.Release(1)
	}
	l := landed{number: p.number, err: err}
	if err == nil {
		l.etag = out.ETag
	}
	p.release()
	w.landed <- l // there is room for all that fly
}

// land waits for one part to be sent.
func (w *writer) land() error {
	l := <-w.landed // the client's own limits of time end every request
	w.flying--
	if l.err != nil {
		if cause := context.Cause(w.send); cause != nil {
			return fmt.Errorf("%w: %w", cause, l.err)
		}
		return l.err
	}
	w.done = append(w.done, &s3.CompletedPart{ETag: l.etag, PartNumber: &l.number})
	return nil
}

// begin opens the multipart upload.
func (w *writer) begin() error {
	d := w.d
	repeated := false
	out, err := d.client.CreateMultipartUploadWithContext(w.send, &s3.CreateMultipartUploadInput{
		Bucket: &d.Bucket, Key: w.key, ContentType: aws.String(contentType), ACL: &d.ObjectACL,
		ServerSideEncryption: d.encryption(), SSEKMSKeyId: d.encryptionKey(), StorageClass: d.class(),
	}, func(r *request.Request) {
		r.Handlers.Complete.PushBack(func(r *request.Request) { repeated = r.RetryCount > 0 })
	})
	w.strayed = repeated || err != nil
	if err != nil {
		return err
	}
	w.upload = out.UploadId
	return nil
}

// Close ends a writer that was committed.
func (w *writer) Close() error { return nil }

// Cancel stops sending, aborts the upload and removes what a Commit that
// returned an error may have made.
func (w *writer) Cancel(ctx context.Context) error {
	w.ended = true
	w.detach()
	w.cancel(context.Canceled)
	for w.flying > 0 { // a part that is stored after the abort would stay
		<-w.landed
		w.flying--
	}
	w.filling.release()
	var errs []error
	if w.upload != nil || w.strayed {
		errs = append(errs, w.abort(ctx))
	}
	if w.sealed {
		_, err := w.d.client.DeleteObjectWithContext(ctx, &s3.DeleteObjectInput{Bucket: &w.d.Bucket, Key: w.key})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// abort aborts the writer's upload and, if a reply was lost, whatever else is
// open at its key.
func (w *writer) abort(ctx context.Context) error {
	var errs []error
	if w.upload != nil {
		errs = append(errs, w.d.abort(ctx, w.key, w.upload))
	}
	if w.strayed {
		errs = append(errs, w.d.eachUpload(ctx, *w.key, func(u *s3.MultipartUpload) error {
			if *u.Key != *w.key {
				return nil
			}
			return w.d.abort(ctx, u.Key, u.UploadId)
		}))
	}
	return errors.Join(errs...)
}

const contentType = "application/octet-stream"
