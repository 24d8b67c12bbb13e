package s3

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/service/s3"
)

// AbortStale aborts the multipart uploads below path, a directory, that were
// begun before the given time and got no part since, and returns how many those
// were: what processes left behind that died. Not all servers list uploads by
// directory; MinIO does not, and drops them by itself after a day.
func (d *Driver) AbortStale(ctx context.Context, path string, before time.Time) (n int, err error) {
	err = d.eachUpload(ctx, d.S3BucketKey(path)+"/", func(u *s3.MultipartUpload) error {
		if !aws.TimeValue(u.Initiated).Before(before) {
			return nil
		}
		last, err := d.lastPart(ctx, u)
		if err != nil || !last.Before(before) {
			return err
		}
		n++
		return d.abort(ctx, u.Key, u.UploadId)
	})
	return n, err
}

// eachUpload calls do for the open uploads whose key has a prefix.
func (d *Driver) eachUpload(ctx context.Context, prefix string, do func(*s3.MultipartUpload) error) error {
	var stopped error
	err := d.client.ListMultipartUploadsPagesWithContext(ctx, &s3.ListMultipartUploadsInput{Bucket: &d.Bucket, Prefix: &prefix},
		func(page *s3.ListMultipartUploadsOutput, _ bool) bool {
			for _, u := range page.Uploads {
				if stopped = do(u); stopped != nil {
					return false
				}
			}
			return true
		})
	if stopped != nil {
		return stopped
	}
	return err
}

// lastPart is when an upload got its latest part; the zero time if it has none.
func (d *Driver) lastPart(ctx context.Context, u *s3.MultipartUpload) (last time.Time, err error) {
	err = d.client.ListPartsPagesWithContext(ctx, &s3.ListPartsInput{Bucket: &d.Bucket, Key: u.Key, UploadId: u.UploadId},
		func(page *s3.ListPartsOutput, _ bool) bool {
			for _, p := range page.Parts {
				if at := aws.TimeValue(p.LastModified); at.After(last) {
					last = at
				}
			}
			return true
		})
	if code(err) == s3.ErrCodeNoSuchUpload {
		return last, nil // it ended meanwhile
	}
	return last, err
}

// abort drops an upload and its parts; one that is not open is no error.
func (d *Driver) abort(ctx context.Context, key, upload *string) error {
	_, err := d.client.AbortMultipartUploadWithContext(ctx, &s3.AbortMultipartUploadInput{Bucket: &d.Bucket, Key: key, UploadId: upload})
	if code(err) == s3.ErrCodeNoSuchUpload {
		return nil
	}
	return err
}
