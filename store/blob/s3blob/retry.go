package s3blob

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"example.com/nixs3/store/blob"
	policy "example.com/nixs3/store/blob/internal/retry"
)

// conflictCodes are answers to one of several simultaneous requests for the same
// object, which the client has to repeat. The last is versitygw's, when other
// requests fill and empty the folder of the object meanwhile.
var conflictCodes = map[string]struct{}{
	"ConditionalRequestConflict": {},
	"OperationAborted":           {},
	"ExistingObjectIsDirectory":  {},
}

// retryer decides about retries for one client, and makes all of the client's
// requests wait when the server asks for that. It adds to the SDK's standard
// mode, or to the adaptive one where the configuration asks for it.
type retryer struct {
	aws.RetryerV2
	throttled retry.IsErrorThrottles
	opts      blob.Retry
	log       *slog.Logger
	pace      pace
}

func newRetryer(mode aws.RetryMode, opts blob.Retry, names []string, log *slog.Logger) *retryer {
	r := &retryer{
		opts: opts,
		log:  log,
		throttled: append(retry.IsErrorThrottles{
			retry.ThrottleErrorCode{Codes: map[string]struct{}{"TooManyRequests": {}, "ServiceUnavailable": {}}},
			throttleStatus{},
		}, retry.DefaultThrottles...),
	}
	codes := make(map[string]struct{}, len(names))
	for _, code := range names {
		codes[code] = struct{}{}
	}
	standard := func(o *retry.StandardOptions) {
		o.MaxAttempts = opts.Attempts
		o.Backoff = r
		// The SDK's allowance of retries for a whole client runs dry in a
		// short outage under many parallel requests. Attempts and delays
		// are the bound here.
		o.RateLimiter = ratelimit.None
		o.Retryables = append([]retry.IsErrorRetryable{hopeless{}}, append(o.Retryables,
			passingStatus{},
			retry.RetryableErrorCode{Codes: conflictCodes},
			retry.RetryableErrorCode{Codes: codes})...)
		o.Throttles = r.throttled
	}
	if mode == aws.RetryModeAdaptive {
		r.RetryerV2 = retry.NewAdaptiveMode(func(o *retry.AdaptiveModeOptions) {
			o.Throttles = r.throttled
			o.StandardOptions = append(o.StandardOptions, standard)
		})
	} else {
		r.RetryerV2 = retry.NewStandard(standard)
	}
	return r
}

// install makes a client retry so.
func (r *retryer) install(o *s3.Options) {
	o.Retryer = r
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		if _, ok := stack.Finalize.Get("Retry"); !ok {
			return nil // presigning sends nothing
		}
		return stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("nixs3:Pace", r.attempt), "Retry", middleware.After)
	})
}

// attempt makes one attempt at a request when it is its turn.
func (r *retryer) attempt(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
	began, err := r.pace.begin(ctx)
	if err != nil {
		return middleware.FinalizeOutput{}, middleware.Metadata{}, err
	}
	out, metadata, err := next.HandleFinalize(ctx, in)
	throttled := err != nil && r.throttled.IsErrorThrottle(err) == aws.TrueTernary
	if limit := r.pace.end(began, throttled); throttled {
		r.log.Debug("S3 asks to slow down", "requests at once", limit, "error", err)
	}
	return out, metadata, err
}

// BackoffDelay returns how long to wait after the attempt-th failure.
func (r *retryer) BackoffDelay(attempt int, err error) (time.Duration, error) {
	delay := policy.Delay(r.opts, attempt, r.throttled.IsErrorThrottle(err) == aws.TrueTernary)
	if after, ok := retryAfter(err); ok {
		delay = min(after, r.opts.MaxDelay)
		r.pace.hold(delay)
	}
	r.log.Debug("retrying a request to S3", "attempt", attempt, "delay", delay, "error", err)
	return delay, nil
}

// retryAfter returns the time in the Retry-After of an answer.
func retryAfter(err error) (time.Duration, bool) {
	var re *smithyhttp.ResponseError
	if !errors.As(err, &re) || re.Response == nil {
		return 0, false
	}
	return policy.After(re.Response.Header, time.Now())
}

// throttleStatus treats 429 and 503 as "slow down", whatever the body is.
type throttleStatus struct{}

func (throttleStatus) IsErrorThrottle(err error) aws.Ternary {
	var re *smithyhttp.ResponseError
	if errors.As(err, &re) {
		if policy.IsLimited(re.HTTPStatusCode()) {
			return aws.TrueTernary
		}
	}
	return aws.UnknownTernary
}

// passingStatus retries the statuses that blob.Retry names.
type passingStatus struct{}

func (passingStatus) IsErrorRetryable(err error) aws.Ternary {
	if policy.IsPassing(statusOf(err)) {
		return aws.TrueTernary
	}
	return aws.UnknownTernary
}

// hopeless makes failures final that the SDK would repeat, such as those of
// certificates.
type hopeless struct{}

func (hopeless) IsErrorRetryable(err error) aws.Ternary {
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) || errors.Is(err, http.ErrSchemeMismatch) {
		return aws.FalseTernary
	}
	return aws.UnknownTernary
}
