package wire

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"sync"
	"time"

	"golang.org/x/net/http/httpproxy"
)

// minIdle is the least number of idle connections that a transport keeps. A pool
// smaller than the number of simultaneous requests would connect for each.
const minIdle = 256

// NewBase returns a transport that keeps as many connections as there are
// requests at a time. It takes proxies and certificate authorities from the
// environment, and decompresses nothing: objects come as they are stored.
func NewBase(requests int) (*http.Transport, error) {
	t := &http.Transport{
		DialContext:           (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:   15 * time.Second,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   max(requests, minIdle),
		IdleConnTimeout:       90 * time.Second,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true,
	}
	environ, err := Environment()
	if err != nil {
		return nil, err
	}
	environ(t)
	return t, nil
}

// Environment returns a function that sets the proxies and certificate
// authorities of the environment in a transport.
func Environment() (func(*http.Transport), error) {
	roots, err := authorities()
	if err != nil {
		return nil, err
	}
	return func(t *http.Transport) {
		t.Proxy = proxies()
		if t.TLSClientConfig == nil {
			t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		t.TLSClientConfig.RootCAs = roots
	}, nil
}

// proxies returns a function that chooses a proxy by http_proxy, https_proxy and
// no_proxy. all_proxy is for both schemes, after their own variables, as in curl
// and so in Nix. The errors do not repeat an address, which may have a password.
func proxies() func(*http.Request) (*url.URL, error) {
	config := httpproxy.FromEnvironment()
	all := cmp.Or(os.Getenv("all_proxy"), os.Getenv("ALL_PROXY"))
	config.HTTPProxy = cmp.Or(config.HTTPProxy, all)
	config.HTTPSProxy = cmp.Or(config.HTTPSProxy, all)
	choose := config.ProxyFunc()
	return func(r *http.Request) (*url.URL, error) {
		if ip, err := netip.ParseAddr(r.URL.Hostname()); err == nil && ip.IsLinkLocalUnicast() {
			return nil, nil // the instance metadata service of a cloud
		}
		proxy, err := choose(r.URL)
		if err != nil {
			return nil, errors.New("the address of the proxy in the environment is not a valid URL")
		}
		return proxy, nil
	}
}

// authorities returns the certificates of NIX_SSL_CERT_FILE or SSL_CERT_FILE,
// which replace the system's as they do for Nix; nil where neither is set.
func authorities() (*x509.CertPool, error) {
	for _, name := range []string{"NIX_SSL_CERT_FILE", "SSL_CERT_FILE"} {
		file := os.Getenv(name)
		if file == "" || file == "/no-cert-file.crt" { // as Nix says to builds that there is none
			continue
		}
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s: %s has no certificate", name, file)
		}
		return pool, nil
	}
	return nil, nil
}

// ClientCertificate returns a tls.Config.GetClientCertificate that reads a
// certificate and its key again when a file has changed, so that a renewed one
// is used without opening the bucket anew. The key may be in the certificate's
// file; key is empty then. It fails where there is no usable pair now.
func ClientCertificate(certificate, key string) (func(*tls.CertificateRequestInfo) (*tls.Certificate, error), error) {
	key = cmp.Or(key, certificate)
	var mu sync.Mutex
	var pair tls.Certificate
	var seen [2]Version
	get := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		mu.Lock()
		defer mu.Unlock()
		now := [2]Version{VersionOf(certificate), VersionOf(key)}
		if now != seen || pair.Certificate == nil {
			fresh, err := tls.LoadX509KeyPair(certificate, key)
			switch {
			case err == nil:
				pair, seen = fresh, now
			case pair.Certificate == nil:
				return nil, err
			} // else half of the pair may be written: the old one goes on
		}
		current := pair
		return &current, nil
	}
	_, err := get(nil)
	return get, err
}

// Version tells the states of a file apart. Zero is a file that is not there.
type Version struct {
	modified time.Time
	size     int64
}

// VersionOf returns the state of a file now.
func VersionOf(name string) Version {
	info, err := os.Stat(name)
	if err != nil {
		return Version{}
	}
	return Version{info.ModTime(), info.Size()}
}
