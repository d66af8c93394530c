package s3blob

import (
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"example.com/nixs3/s3url"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/internal/wire"
)

// transport returns what sends the requests, and the same where it belongs to
// the bucket.
func (o Options) transport(cfg aws.Config, t *s3url.Transport) (http.RoundTripper, *http.Transport, error) {
	if o.Transport != nil {
		if t.TLSCertificate != "" {
			return nil, nil, fmt.Errorf("tls-certificate=%s: has no effect on a transport of the caller's", t.TLSCertificate)
		}
		return o.Transport, nil, nil
	}
	own, err := wire.NewBase(o.MaxConcurrency)
	if err != nil {
		return nil, nil, err
	}
	if loaded, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok {
		if tls := loaded.GetTransport().TLSClientConfig; tls != nil && tls.RootCAs != nil {
			own.TLSClientConfig.RootCAs = tls.RootCAs // AWS_CA_BUNDLE
		}
	}
	if t.TLSCertificate != "" {
		own.TLSClientConfig.GetClientCertificate, err = wire.ClientCertificate(t.TLSCertificate, t.TLSPrivateKey)
		if err != nil {
			return nil, nil, fmt.Errorf("tls-certificate=%s: %w", t.TLSCertificate, err)
		}
	}
	return own, own, nil
}

// limited is the s3.HTTPClient over a transport, with the limits of package
// wire. It follows no redirect: a signature is good for one host only.
type limited struct{ *wire.Transport }

func newLimited(base http.RoundTripper, r blob.Retry) limited {
	return limited{&wire.Transport{Base: base, Retry: r}}
}

func (l limited) Do(r *http.Request) (*http.Response, error) { return l.RoundTrip(r) }

// sender is the transport over a client that the caller made.
type sender struct{ s3.HTTPClient }

func (s sender) RoundTrip(r *http.Request) (*http.Response, error) { return s.Do(r) }

// withLimits returns the client with limits on what its server may do.
func withLimits(o *s3.Options, r blob.Retry) {
	client := o.HTTPClient
	if client == nil {
		client = awshttp.NewBuildableClient()
	}
	o.HTTPClient = newLimited(sender{client}, r)
}
