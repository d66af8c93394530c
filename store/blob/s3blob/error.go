package s3blob

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"example.com/nixs3/store/blob"
)

// sentinels maps the codes of S3. Other codes go by status.
var sentinels = map[string]error{
	"NoSuchKey":                          blob.ErrNotFound,
	"NoSuchVersion":                      blob.ErrNotFound,
	"NoSuchUpload":                       blob.ErrNotFound,
	"NoSuchBucket":                       blob.ErrNoSuchBucket,
	"InvalidObjectState":                 errArchived,
	"NoSuchUser":                         blob.ErrAccessDenied,
	"NoSuchAccessKey":                    blob.ErrAccessDenied,
	"UserNotFound":                       blob.ErrAccessDenied,
	"AccessDenied":                       blob.ErrAccessDenied,
	"AllAccessDisabled":                  blob.ErrAccessDenied,
	"AccountProblem":                     blob.ErrAccessDenied,
	"Forbidden":                          blob.ErrAccessDenied,
	"InvalidAccessKeyId":                 blob.ErrAccessDenied,
	"SignatureDoesNotMatch":              blob.ErrAccessDenied,
	"ExpiredToken":                       blob.ErrAccessDenied,
	"InvalidToken":                       blob.ErrAccessDenied,
	"TokenRefreshRequired":               blob.ErrAccessDenied,
	"RequestTimeTooSkewed":               blob.ErrAccessDenied,
	"PreconditionFailed":                 blob.ErrPrecondition,
	"ConditionalRequestConflict":         blob.ErrPrecondition,
	"PermanentRedirect":                  blob.ErrRegion,
	"TemporaryRedirect":                  blob.ErrRegion,
	"MovedPermanently":                   blob.ErrRegion,
	"AuthorizationHeaderMalformed":       blob.ErrRegion,
	"IllegalLocationConstraintException": blob.ErrRegion,
	"BadDigest":                          blob.ErrChecksum,
	"InvalidDigest":                      blob.ErrChecksum,
	"XAmzContentSHA256Mismatch":          blob.ErrChecksum,
	"XAmzContentChecksumMismatch":        blob.ErrChecksum,
	"EntityTooLarge":                     blob.ErrTooLarge,
	"SlowDown":                           blob.ErrThrottled,
	"SlowDownRead":                       blob.ErrThrottled,
	"SlowDownWrite":                      blob.ErrThrottled,
	"Throttling":                         blob.ErrThrottled,
	"RequestLimitExceeded":               blob.ErrThrottled,
	"TooManyRequests":                    blob.ErrThrottled,
	"ServiceUnavailable":                 blob.ErrThrottled,
}

// errArchived is a refusal to read that a reader may not treat as a missing
// object, unlike blob.ErrAccessDenied.
var errArchived = errors.New("the object is in an archive and has to be restored first")

// errNotS3 is an answer that is not of S3, such as a 404 without a code.
var errNotS3 = errors.New("the endpoint does not answer as S3 does")

// statuses maps the statuses of answers without a known code. 404 is not among
// them: web servers answer so too, and gateways that do not know the bucket or
// the user.
var statuses = map[int]error{
	http.StatusMovedPermanently:      blob.ErrRegion,
	http.StatusTemporaryRedirect:     blob.ErrRegion,
	http.StatusUnauthorized:          blob.ErrAccessDenied,
	http.StatusProxyAuthRequired:     blob.ErrAccessDenied,
	http.StatusForbidden:             blob.ErrAccessDenied,
	http.StatusPreconditionFailed:    blob.ErrPrecondition,
	http.StatusRequestEntityTooLarge: blob.ErrTooLarge,
	http.StatusTooManyRequests:       blob.ErrThrottled,
	http.StatusServiceUnavailable:    blob.ErrThrottled,
}

// fail turns the failure of an operation into a *blob.Error.
func (b *Bucket) fail(ctx context.Context, op, key string, err error) error {
	if err == nil {
		return nil
	}
	var known *blob.Error
	if errors.As(err, &known) {
		return err
	}
	e := &blob.Error{Op: op, Bucket: "s3://" + b.name, Key: key, Endpoint: hostOf(b.endpoint), Err: err}
	if ctx.Err() != nil {
		e.Err = context.Cause(ctx)
		return e
	}
	var message string
	var ae smithy.APIError
	if errors.As(err, &ae) {
		e.Code, message = ae.ErrorCode(), ae.ErrorMessage()
	}
	var re *smithyhttp.ResponseError
	if errors.As(err, &re) && re.Response != nil {
		e.Status = re.HTTPStatusCode()
		if e.RequestID = re.Response.Header.Get("X-Amz-Request-Id"); e.RequestID == "" {
			e.RequestID = requestID(err)
		}
		if u := re.Response.Request; e.Endpoint == "" && u != nil && u.URL != nil {
			e.Endpoint = u.URL.Host
		}
	}
	e.Err = cause(err, e.Code, e.Status, message)
	e.Hint = b.hint(e, re)
	return e
}

// cause returns the sentinel for a failure, with the server's message, or the
// failure itself without the SDK's preamble.
func cause(err error, code string, status int, message string) error {
	if missing, ok := errors.AsType[*credentialsError](err); ok {
		return missing
	}
	sentinel := sentinels[code]
	if sentinel == nil {
		sentinel = statuses[status]
	}
	if sentinel == nil && (status == http.StatusNotFound || status == http.StatusGone) {
		sentinel = errNotS3
		if isHead(err) {
			sentinel = blob.ErrNotFound // it has no body that could say more
		}
	}
	const maxMessage = 512
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") + "…"
	}
	switch {
	case errors.Is(err, blob.ErrRegion):
		return err
	case sentinel != nil && (message == "" || message == code):
		return sentinel
	case sentinel != nil:
		return fmt.Errorf("%w: %s", sentinel, message)
	case message != "":
		return errors.New(message)
	}
	var sent *smithyhttp.RequestSendError
	if errors.As(err, &sent) {
		return sent.Err
	}
	var oe *smithy.OperationError
	if errors.As(err, &oe) {
		return oe.Err
	}
	return err
}

// isHead reports whether a failure is the answer to a HEAD.
func isHead(err error) bool {
	var re *smithyhttp.ResponseError
	return errors.As(err, &re) && re.Response != nil && re.Response.Request != nil && re.Response.Request.Method == http.MethodHead
}

func requestID(err error) string {
	var re *awshttp.ResponseError
	if errors.As(err, &re) {
		return re.ServiceRequestID()
	}
	return ""
}

// hostOf returns the host of an endpoint, and nothing of one that cannot be
// parsed: it may hold a password.
func hostOf(endpoint string) string {
	if u, err := url.Parse(endpoint); err == nil {
		return u.Host
	}
	return ""
}

// codeOf returns the server's name for a failure, "" where there is none.
func codeOf(err error) string {
	var ae smithy.APIError
	if errors.As(err, &ae) {
		return ae.ErrorCode()
	}
	return ""
}

// statusOf returns the HTTP status of a failure, 0 where there was no answer.
func statusOf(err error) int {
	var re *smithyhttp.ResponseError
	if errors.As(err, &re) && re.Response != nil {
		return re.HTTPStatusCode()
	}
	return 0
}
