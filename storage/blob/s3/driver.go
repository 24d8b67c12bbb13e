package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/awserr"
	"github.com/aws/aws-sdk-go/service/s3"
	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	distribution "github.com/distribution/distribution/v3/registry/storage/driver/s3-aws"
	"golang.org/x/sync/semaphore"
)

const (
	driverName = "s3aws"
	// partSize is the least that S3 takes for a part that is not the last, and
	// by its limit of 10,000 parts good for objects of 48 GiB.
	partSize = 5 << 20
	// maxParts is S3's limit on the parts of an upload.
	maxParts = 10_000
	// flight is how many parts of one upload are sent at once.
	flight = 3
	// spareParts is how many parts all uploads together may send at once beyond
	// one each: many uploads do not need what one alone does.
	spareParts = 16
	// urlLife is how long a signed URL can be used. A transfer that began goes on.
	urlLife = 5 * time.Minute
)

// Driver is a storage driver of one bucket. Its methods may be called
// concurrently.
type Driver struct {
	*distribution.Driver
	settings

	client *s3.S3
	slow   *s3.S3 // for requests that are answered when much work is done
	spare  *semaphore.Weighted
}

// settings are distribution's own, by the names of its fields.
type settings struct {
	Bucket           string
	ChunkSize        int
	Encrypt          bool
	KeyID            string
	StorageClass     string
	ObjectACL        string
	RedirectEndpoint *url.URL
}

// Open makes a driver of the parameters of distribution's s3aws, as in
// https://distribution.github.io/distribution/storage-drivers/s3/; chunksize is
// the size of a part, 5 MiB unless it is given. It makes no request.
func Open(ctx context.Context, params map[string]any) (*Driver, error) {
	inner, err := distribution.FromParameters(ctx, params)
	if err != nil {
		return nil, err
	}
	d := &Driver{Driver: inner, spare: semaphore.NewWeighted(spareParts)}
	if err := d.adopt(inner); err != nil {
		return nil, err
	}
	if params["chunksize"] == nil {
		d.ChunkSize = partSize
	}
	tune(d.client)
	slow := *d.client.Client
	slow.Config.HTTPClient = newHTTPClient(d.client.Config.HTTPClient, completeTimeout)
	d.slow = &s3.S3{Client: &slow}
	return d, nil
}

// adopt takes over the client and the settings of distribution's driver, which
// has them in exported fields of a type that is not exported. Making the client
// anew would mean to read all parameters a second time, and to do without
// signatures of version 2.
func (d *Driver) adopt(inner *distribution.Driver) error {
	from := reflect.Indirect(reflect.ValueOf(inner.StorageDriver))
	take := func(name string, to reflect.Value) error {
		f := from.FieldByName(name)
		if !f.IsValid() || f.Type() != to.Type() {
			return fmt.Errorf("this version of distribution's driver has no %s of type %s: packhouse was built with one that it does not fit", name, to.Type())
		}
		to.Set(f)
		return nil
	}
	errs := []error{take("S3", reflect.ValueOf(&d.client).Elem())}
	to := reflect.ValueOf(&d.settings).Elem()
	for i := range to.NumField() {
		errs = append(errs, take(to.Type().Field(i).Name, to.Field(i)))
	}
	return errors.Join(errs...)
}

// Stat returns the size of an object by one request. It returns
// PathNotFoundError, for what others would call a directory too.
func (d *Driver) Stat(ctx context.Context, path string) (storagedriver.FileInfo, error) {
	out, err := d.client.HeadObjectWithContext(ctx, &s3.HeadObjectInput{Bucket: &d.Bucket, Key: d.key(path)})
	if err != nil {
		return nil, notFound(path, err)
	}
	return storagedriver.FileInfoInternal{FileInfoFields: storagedriver.FileInfoFields{
		Path: path, Size: aws.Int64Value(out.ContentLength), ModTime: aws.TimeValue(out.LastModified),
	}}, nil
}

// Delete removes one object; one that is not there is no error.
func (d *Driver) Delete(ctx context.Context, path string) error {
	_, err := d.client.DeleteObjectWithContext(ctx, &s3.DeleteObjectInput{Bucket: &d.Bucket, Key: d.key(path)})
	return notFound(path, err)
}

// ReadRange opens n bytes from off, n > 0, so that the connection can be used
// again after them. It returns PathNotFoundError and, for an object that is
// shorter, InvalidOffsetError.
func (d *Driver) ReadRange(ctx context.Context, path string, off, n int64) (io.ReadCloser, error) {
	span := "bytes=" + strconv.FormatInt(off, 10) + "-" + strconv.FormatInt(off+n-1, 10)
	out, err := d.client.GetObjectWithContext(ctx, &s3.GetObjectInput{Bucket: &d.Bucket, Key: d.key(path), Range: &span})
	short := storagedriver.InvalidOffsetError{Path: path, Offset: off + n, DriverName: driverName}
	switch {
	case code(err) == "InvalidRange":
		return nil, short
	case err != nil:
		return nil, notFound(path, err)
	case aws.Int64Value(out.ContentLength) < n:
		_ = out.Body.Close() // nothing of it is wanted
		return nil, short
	case out.ContentRange == nil:
		return nil, errors.Join(errors.New("the storage ignores Range: it cannot be used"), out.Body.Close())
	}
	return out.Body, nil
}

// RedirectURL signs a URL by which r's method can be done to an object for a
// short time.
func (d *Driver) RedirectURL(r *http.Request, path string) (string, error) {
	if r.Method != http.MethodGet {
		return "", nil
	}
	req, _ := d.client.GetObjectRequest(&s3.GetObjectInput{Bucket: &d.Bucket, Key: d.key(path)})
	req.SetContext(r.Context())
	if to := d.RedirectEndpoint; to != nil {
		req.HTTPRequest.URL.Scheme, req.HTTPRequest.URL.Host = to.Scheme, to.Host
	}
	return req.Presign(urlLife)
}

func (d *Driver) key(path string) *string { return aws.String(d.S3BucketKey(path)) }

func (d *Driver) encryption() *string {
	switch {
	case !d.Encrypt:
		return nil
	case d.KeyID == "":
		return aws.String(s3.ServerSideEncryptionAes256)
	}
	return aws.String(s3.ServerSideEncryptionAwsKms)
}

func (d *Driver) encryptionKey() *string {
	if d.KeyID == "" {
		return nil
	}
	return &d.KeyID
}

// class is nil where the server knows no classes.
func (d *Driver) class() *string {
	if d.StorageClass == "NONE" {
		return nil
	}
	return &d.StorageClass
}

// code is S3's name of an error, "" for none.
func code(err error) string {
	if e, ok := errors.AsType[awserr.Error](err); ok {
		return e.Code()
	}
	return ""
}

// notFound names an absent object as drivers do.
func notFound(path string, err error) error {
	switch code(err) {
	case s3.ErrCodeNoSuchKey, "NotFound": // the latter of HEAD, which has no body
		return storagedriver.PathNotFoundError{Path: path, DriverName: driverName}
	}
	return err
}
