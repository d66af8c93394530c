package s3blob

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"strings"
	"syscall"

	smithyhttp "github.com/aws/smithy-go/transport/http"

	"example.com/nixs3/store/blob"
)

// actions are the IAM actions that operations need.
var actions = map[string]string{
	"Get":         "s3:GetObject",
	"Head":        "s3:GetObject",
	"PresignGet":  "s3:GetObject",
	"Put":         "s3:PutObject",
	"Copy":        "s3:PutObject, and s3:GetObject on the source,",
	"Delete":      "s3:DeleteObject",
	"List":        "s3:ListBucket",
	"Uploads":     "s3:ListBucketMultipartUploads",
	"AbortUpload": "s3:AbortMultipartUpload",
}

// hints are the remedies for the most frequent failures.
var hints = map[string]string{
	"InvalidAccessKeyId":    "the server does not know this access key: check profile=, AWS_ACCESS_KEY_ID and endpoint=",
	"SignatureDoesNotMatch": "the secret key is wrong, or a proxy changed the request",
	"ExpiredToken":          "the session has expired: sign in again (aws sso login) or renew the token",
	"InvalidToken":          "the session token is not for this access key: check AWS_SESSION_TOKEN",
	"RequestTimeTooSkewed":  "set this machine's clock",
	"NoSuchBucket":          "check the bucket's name and endpoint=, or create the bucket",
	"InvalidStorageClass":   "the server does not have this storage class: change or leave out storage-class=",
	"EntityTooLarge":        "objects above 5 GiB need multipart-upload=true",
	"SlowDown":              "lower max-concurrency=, or raise retry-attempts=",
}

func (b *Bucket) hint(e *blob.Error, re *smithyhttp.ResponseError) string {
	if hint := hints[e.Code]; hint != "" {
		return hint
	}
	switch {
	case errors.Is(e.Err, blob.ErrRegion):
		return regionHint(re)
	case errors.Is(e.Err, blob.ErrAccessDenied):
		return b.accessHint(e.Op)
	case e.Status == 0:
		return b.networkHint(e.Err)
	}
	return ""
}

// accessHint names the IAM action that is missing, and its resource.
func (b *Bucket) accessHint(op string) string {
	action := actions[op]
	if action == "" {
		return ""
	}
	on := b.arn
	if op != "List" && op != "Uploads" {
		on += "/" + b.prefix + "*"
	}
	return "allow " + action + " on " + on
}

func regionHint(re *smithyhttp.ResponseError) string {
	if re != nil && re.Response != nil {
		if region := re.Response.Header.Get("X-Amz-Bucket-Region"); region != "" {
			return "the bucket is in " + region + ": add region=" + region
		}
	}
	return "add region= with the region that the bucket is in"
}

// networkHint is the remedy for a request without an answer.
func (b *Bucket) networkHint(err error) string {
	var dns *net.DNSError
	var authority x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var record tls.RecordHeaderError
	switch {
	case b.endpoint == "":
		return ""
	case errors.As(err, &dns) && strings.HasPrefix(dns.Name, b.name+"."):
		return "the endpoint has no name for each bucket: add addressing-style=path"
	case errors.As(err, &dns):
		return "check endpoint="
	case errors.Is(err, syscall.ECONNREFUSED):
		return "no server listens there: check endpoint="
	case errors.As(err, &authority):
		return "the server's certificate is not signed by a known authority: set AWS_CA_BUNDLE"
	case errors.As(err, &hostname):
		return "the server's certificate is for another name: check endpoint="
	case errors.As(err, &record) && string(record.RecordHeader[:]) == "HTTP/", errors.Is(err, http.ErrSchemeMismatch):
		return "the server speaks plain HTTP: use endpoint=http://…"
	}
	return ""
}
