package s3blob

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// minIdleConns is how many idle connections are kept whatever the configured
// concurrency: they cost nothing until used, and a pool smaller than the number
// of requests reconnects for every one of them.
const minIdleConns = 256

// newTransport returns the transport of one bucket.
func newTransport(concurrency int) *http.Transport {
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: (&net.Dialer{
			Timeout:   15 * time.Second,
			KeepAlive: 15 * time.Second,
		}).DialContext,
		TLSHandshakeTimeout:   15 * time.Second,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          0, // MaxIdleConnsPerHost is the bound
		MaxIdleConnsPerHost:   max(concurrency, minIdleConns),
		IdleConnTimeout:       90 * time.Second,
		ExpectContinueTimeout: time.Second,
		ResponseHeaderTimeout: 2 * time.Minute,
		// Objects are stored as they are: what is compressed stays so.
		DisableCompression: true,
	}
}

// roundTrip is the s3.HTTPClient over a transport. It follows no redirect: a
// signature is good for one host only.
type roundTrip struct{ http.RoundTripper }

func (c roundTrip) Do(r *http.Request) (*http.Response, error) { return c.RoundTrip(r) }
