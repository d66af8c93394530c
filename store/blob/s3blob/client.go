package s3blob

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"example.com/nixs3/s3url"
)

// dialectOf returns the dialect for an endpoint, "" being Amazon's own.
func dialectOf(endpoint string) Dialect {
	if (&s3url.URL{Endpoint: endpoint}).IsAWS() {
		return DialectAWS
	}
	return DialectCompatible
}

// speak sets the client's options for the dialect.
func (d Dialect) speak(o *s3.Options) {
	o.DisableLogOutputChecksumValidationSkipped = true
	if d != DialectCompatible {
		return
	}
	o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
	o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	o.HTTPSignerV4 = encodingBlindSigner{o.HTTPSignerV4}
	o.AuthSchemes = nil // those there are hold the signer from before
}

// encodingBlindSigner leaves Accept-Encoding out of the signature: Google Cloud
// Storage and other gateways rewrite the header, and then refuse the request
// because of it.
type encodingBlindSigner struct{ s3.HTTPSignerV4 }

func (s encodingBlindSigner) SignHTTP(ctx context.Context, credentials aws.Credentials, r *http.Request, payloadHash, service, region string, t time.Time, opts ...func(*v4.SignerOptions)) error {
	const name = "Accept-Encoding"
	encoding, ok := r.Header[name]
	delete(r.Header, name)
	err := s.HTTPSignerV4.SignHTTP(ctx, credentials, r, payloadHash, service, region, t, opts...)
	if ok {
		r.Header[name] = encoding
	}
	return err
}

// unsignedPayload is the payload hash of a request whose body is not signed.
const unsignedPayload = "UNSIGNED-PAYLOAD"

// payloadHash sets the payload hash of an operation's signature, so that
// nothing reads the body to compute it.
func payloadHash(hash string) func(*s3.Options) {
	return withInitialize("KnownPayloadHash", func(ctx context.Context) context.Context {
		return v4.SetPayloadHash(ctx, hash)
	})
}

// hashPayload has a body hashed for the signature over TLS too, where the SDK
// leaves that to the checksums. Without either, versitygw stores a part of an
// upload when its connection breaks.
func hashPayload(o *s3.Options) {
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		compute := &v4.ComputePayloadSHA256{}
		_, err := stack.Finalize.Swap(compute.ID(), compute)
		return err
	})
}

func withInitialize(id string, f func(context.Context) context.Context) func(*s3.Options) {
	return s3.WithAPIOptions(func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc(id,
			func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
				return next.HandleInitialize(f(ctx), in)
			}), middleware.Before)
	})
}

// contentMD5 replaces the checksum that the SDK puts on a batch delete by the
// Content-MD5 that servers have always known.
func contentMD5(o *s3.Options) {
	o.APIOptions = append(o.APIOptions,
		func(stack *middleware.Stack) error {
			for _, id := range []string{"AWSChecksum:ComputeInputPayloadChecksum", "addInputChecksumTrailer"} {
				if _, ok := stack.Finalize.Get(id); !ok {
					continue
				}
				if _, err := stack.Finalize.Remove(id); err != nil {
					return err
				}
			}
			return nil
		},
		smithyhttp.AddContentChecksumMiddleware)
}

// sdkLogger passes messages of the SDK to a slog.Logger.
type sdkLogger struct{ log *slog.Logger }

func (l sdkLogger) Logf(class logging.Classification, format string, args ...any) {
	level := slog.LevelDebug
	if class == logging.Warn {
		level = slog.LevelWarn
	}
	if l.log.Enabled(context.Background(), level) {
		l.log.Log(context.Background(), level, fmt.Sprintf(format, args...))
	}
}
