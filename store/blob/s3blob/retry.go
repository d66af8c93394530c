package s3blob

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// conflictCodes are answers that S3 gives to one of several requests for the
// same object at once and wants to be asked again. The last is versitygw's, when
// other requests fill and empty the folder of the object meanwhile.
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
	opts      RetryOptions
	log       *slog.Logger
	pace      pace
}

func newRetryer(mode aws.RetryMode, opts RetryOptions, log *slog.Logger) *retryer {
	r := &retryer{
		opts: opts,
		log:  log,
		throttled: append(retry.IsErrorThrottles{
			retry.ThrottleErrorCode{Codes: map[string]struct{}{"TooManyRequests": {}, "ServiceUnavailable": {}}},
			throttleStatus{},
		}, retry.DefaultThrottles...),
	}
	codes := make(map[string]struct{}, len(opts.Codes))
	for _, code := range opts.Codes {
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
			retry.RetryableHTTPStatusCode{Codes: map[int]struct{}{http.StatusTooManyRequests: {}}},
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
	delay := r.opts.Delay
	if r.throttled.IsErrorThrottle(err) == aws.TrueTernary {
		delay = r.opts.RateLimitedDelay
	}
	delay = backoff(delay, r.opts.MaxDelay, attempt)
	if after, ok := retryAfter(err); ok {
		delay = min(after, r.opts.MaxDelay)
		r.pace.hold(delay)
	}
	r.log.Debug("retrying a request to S3", "attempt", attempt, "delay", delay, "error", err)
	return delay, nil
}

// backoff doubles delay with every attempt up to limit, and takes up to half of
// it off at random so that many clients do not return at once.
func backoff(delay, limit time.Duration, attempt int) time.Duration {
	for ; attempt > 1 && delay < limit; attempt-- {
		delay *= 2
	}
	delay = min(delay, limit)
	return delay - rand.N(delay/2+1)
}

// retryAfter returns what the server asked for in a Retry-After of seconds or
// of a date.
func retryAfter(err error) (time.Duration, bool) {
	var re *smithyhttp.ResponseError
	if !errors.As(err, &re) || re.Response == nil {
		return 0, false
	}
	v := re.Response.Header.Get("Retry-After")
	if v == "" {
		return 0, false
	}
	if seconds, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second, true
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(time.Until(t), 0), true
	}
	return 0, false
}

// throttleStatus takes 429 and 503 for "slow down" whatever the body says.
type throttleStatus struct{}

func (throttleStatus) IsErrorThrottle(err error) aws.Ternary {
	var re *smithyhttp.ResponseError
	if errors.As(err, &re) {
		switch re.HTTPStatusCode() {
		case http.StatusTooManyRequests, http.StatusServiceUnavailable:
			return aws.TrueTernary
		}
	}
	return aws.UnknownTernary
}

// hopeless takes failures for final that the SDK would try again: a certificate
// does not get better.
type hopeless struct{}

func (hopeless) IsErrorRetryable(err error) aws.Ternary {
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) || errors.Is(err, http.ErrSchemeMismatch) {
		return aws.FalseTernary
	}
	return aws.UnknownTernary
}

// sleep waits for d or until the context ends.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
