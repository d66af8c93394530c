package s3blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"example.com/nixs3/s3url"
	"example.com/nixs3/store/blob/internal/wire"
)

const (
	// metadataTimeout bounds each of the two requests to the instance metadata
	// service, for the role and for its keys. The service answers within
	// milliseconds, or never where packets to it are dropped.
	metadataTimeout = 500 * time.Millisecond

	// maxMetadata bounds one answer, in bytes.
	maxMetadata = 64 << 10

	// expiryWindow is the time before their expiry at which temporary
	// credentials are renewed.
	expiryWindow = time.Minute
)

// loadConfig resolves what the URL leaves to the environment: the region and
// where credentials come from. Nothing is sent yet; credentials are looked for
// with the first request, and failing that it ends with a *credentialsError.
//
// The chain is the SDK's. A profile in the URL takes precedence over credentials
// in the environment. Instance metadata comes last, only for Amazon's own
// endpoints, and takes a second at most.
//
// The endpoint is not part of the result: it is that of S3 alone, whereas the
// configuration serves STS and the like too.
func loadConfig(ctx context.Context, u *s3url.URL, o Options) (aws.Config, error) {
	if err := u.Validate(); err != nil {
		return aws.Config{}, err
	}
	log := o.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	for _, warning := range u.Warnings() {
		log.Warn("s3 URL: "+warning, "bucket", u.Bucket)
	}

	environ, err := wire.Environment()
	if err != nil {
		return aws.Config{}, err
	}
	metadata := &boundedMetadata{}
	load := []func(*config.LoadOptions) error{
		config.WithLogger(sdkLogger{log}),
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTransportOptions(environ)),
		config.WithRegion(u.Region),
		config.WithDefaultRegion(s3url.DefaultRegion),
		config.WithEC2RoleCredentialOptions(func(o *ec2rolecreds.Options) { o.Client = metadata }),
		config.WithEndpointCredentialOptions(func(o *endpointcreds.Options) { o.Retryer = impatient() }),
		config.WithCredentialsCacheOptions(func(o *aws.CredentialsCacheOptions) {
			o.ExpiryWindow, o.ExpiryWindowJitterFrac = expiryWindow, 0.5
		}),
	}
	if u.Anonymous {
		load = append(load, config.WithCredentialsProvider(aws.AnonymousCredentials{}))
	}
	if u.FIPS {
		load = append(load, config.WithUseFIPSEndpoint(aws.FIPSEndpointStateEnabled))
	}
	cfg, err := config.LoadDefaultConfig(ctx, append(load, config.WithSharedConfigProfile(u.Profile))...)
	if _, missing := errors.AsType[config.SharedConfigProfileNotExistError](err); missing && u.Profile == config.DefaultSharedConfigProfile {
		// Without configuration files, profile=default means the default chain.
		cfg, err = config.LoadDefaultConfig(ctx, load...)
	}
	if err != nil {
		return aws.Config{}, &credentialsError{profile: u.Profile, err: err}
	}
	if u.Anonymous {
		cfg.Credentials = aws.AnonymousCredentials{} // bare, which is how requests stay unsigned
		return cfg, nil
	}
	metadata.config, metadata.off = cfg, !u.IsAWS() || !configuredIsAWS(cfg)
	cfg.Credentials = explained{cfg.Credentials, u.Profile}
	return cfg, nil
}

// configuredIsAWS reports whether the endpoint that the environment or the
// profile may name for S3, where the URL does not, is Amazon's.
func configuredIsAWS(cfg aws.Config) bool {
	return dialectOf(value(s3.NewFromConfig(cfg).Options().BaseEndpoint)) == DialectAWS
}

// boundedMetadata is the instance metadata client with a bound on the time that
// each answer may take. The client is made with the first question, when the
// configuration that says where the service is has been loaded.
type boundedMetadata struct {
	config aws.Config
	off    bool // is never asked
	once   sync.Once
	client *imds.Client
}

func (m *boundedMetadata) GetMetadata(ctx context.Context, in *imds.GetMetadataInput, opts ...func(*imds.Options)) (*imds.GetMetadataOutput, error) {
	if m.off {
		return nil, errNotAsked
	}
	m.once.Do(func() {
		m.client = imds.NewFromConfig(m.config, func(o *imds.Options) {
			o.Retryer = impatient()
		})
	})
	ctx, cancel := context.WithTimeoutCause(ctx, metadataTimeout, errNoMetadata)
	defer cancel()
	out, err := m.client.GetMetadata(ctx, in, opts...)
	if err != nil {
		return nil, metadataError(ctx, err)
	}
	defer out.Content.Close()
	data, err := io.ReadAll(io.LimitReader(out.Content, maxMetadata))
	if err != nil {
		return nil, metadataError(ctx, err)
	}
	out.Content = io.NopCloser(bytes.NewReader(data))
	return out, nil
}

// impatient retries requests to services on the same machine or next to it.
func impatient() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = 50 * time.Millisecond })
}

var (
	errNoMetadata = fmt.Errorf("no answer within %v", metadataTimeout)
	errNotAsked   = errors.New("not asked: the endpoint is not Amazon's")
)

// metadataError returns errNoMetadata if that is the cause of the end of ctx.
func metadataError(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, errNoMetadata) {
		return cause
	}
	return err
}

// explained turns the failures of a provider into errors that a person can act
// on.
type explained struct {
	aws.CredentialsProvider
	profile string // that the URL names
}

func (e explained) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := e.CredentialsProvider.Retrieve(ctx)
	if err == nil || ctx.Err() != nil {
		return c, err
	}
	return c, &credentialsError{profile: e.profile, sources: e.ProviderSources(), err: err}
}

// ProviderSources returns the names that the SDK puts into its User-Agent.
func (e explained) ProviderSources() []aws.CredentialSource {
	if p, ok := e.CredentialsProvider.(aws.CredentialProviderSource); ok {
		return p.ProviderSources()
	}
	return nil
}
