package s3

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/awserr"
	"github.com/aws/aws-sdk-go/aws/request"
	"github.com/aws/aws-sdk-go/service/s3"
)

// Explain says which parameter an error of S3 is about, or "".
func (d *Driver) Explain(err error) string {
	endpoint := d.client.Endpoint
	switch code(err) {
	case "NoCredentialProviders":
		return "there are no credentials: set accesskey and secretkey, or run where the environment, the instance or the pod has a role"
	case "InvalidAccessKeyId", "XAdminUserNotFound": // the latter of versitygw
		return "the storage does not know this accesskey"
	case "SignatureDoesNotMatch":
		return "the secretkey does not belong to this accesskey"
	case "ExpiredToken", "InvalidToken":
		return "the credentials have expired: renew them"
	case "AccessDenied", "Forbidden":
		return fmt.Sprintf("the credentials may not do that in bucket %q: they need s3:PutObject, s3:GetObject, s3:DeleteObject, s3:AbortMultipartUpload, s3:ListBucket and s3:ListBucketMultipartUploads", d.Bucket)
	case s3.ErrCodeNoSuchBucket, "NotFound":
		return fmt.Sprintf("there is no bucket %q at %s: create it, or correct bucket or regionendpoint", d.Bucket, endpoint)
	case "BucketRegionError", "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException":
		return fmt.Sprintf("bucket %q is not in region %q: correct region", d.Bucket, aws.StringValue(d.client.Config.Region))
	case "RequestTimeTooSkewed":
		return "this machine's clock and the storage's differ: set it by NTP"
	case "InvalidStorageClass":
		return fmt.Sprintf("the storage has no class %q: correct storageclass, NONE where there are no classes", d.StorageClass)
	case request.ErrCodeRequestError, request.ErrCodeResponseTimeout:
		return fmt.Sprintf("%s cannot be reached: correct regionendpoint, region or secure, or see to the network", endpoint)
	case request.ErrCodeSerialization:
		return fmt.Sprintf("%s does not answer as S3 does: correct regionendpoint or secure", endpoint)
	}
	if e, ok := errors.AsType[awserr.RequestFailure](err); ok && e.StatusCode() >= http.StatusInternalServerError {
		return fmt.Sprintf("%s is there but answers %d: try again later", endpoint, e.StatusCode())
	}
	return ""
}
