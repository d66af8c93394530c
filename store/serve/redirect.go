package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/layout"
)

// Redirect says how clients are sent to presigned URLs of the bucket for
// archives. They are only where the host differs from the gateway's own, since
// clients would send their credentials along otherwise.
type Redirect struct {
	// TTL is how long a URL is good: at least MinRedirectTTL, at most the week
	// of S3; 1 h where it is 0.
	TTL time.Duration

	// Pushes also sends archives that are pushed to URLs which take that one
	// content, where the server enforces this. The gateway reads such an
	// archive back before it publishes the path. Only clients that wait with
	// the body (Expect: 100-continue) are sent there.
	Pushes bool
}

// MinRedirectTTL is longer than clients try again with a URL.
const MinRedirectTTL = 15 * time.Minute

// redirector makes presigned URLs.
type redirector struct {
	bucket  blob.Presigner
	uploads blob.ContentPresigner // nil: pushes stay here
	ttl     time.Duration

	mu     sync.Mutex
	pins   bool      // whether the server enforces what a URL allows
	probed time.Time // when that was found out, or could not be; zero before
	failed bool      // it could not be
}

func newRedirector(b blob.Bucket, r *Redirect) (*redirector, error) {
	if r == nil {
		return nil, nil
	}
	presigner, ok := blob.As[blob.Presigner](b)
	if !ok {
		return nil, fmt.Errorf("redirects: %s: %w", b, errors.ErrUnsupported)
	}
	ttl := r.TTL
	if ttl == 0 {
		ttl = time.Hour
	}
	if ttl < MinRedirectTTL || ttl > 7*24*time.Hour {
		return nil, fmt.Errorf("redirects: expected a time to live from %v to 168h, got %v", MinRedirectTTL, ttl)
	}
	d := &redirector{bucket: presigner, ttl: ttl}
	if r.Pushes {
		if d.uploads, ok = blob.As[blob.ContentPresigner](b); !ok {
			return nil, fmt.Errorf("redirects of pushes: %s: %w", b, errors.ErrUnsupported)
		}
	}
	return d, nil
}

// elsewhere returns the URL past the gateway of an archive, "" where the client
// should not be sent there.
func (d *redirector) elsewhere(ctx context.Context, r *http.Request, t target) (string, error) {
	if d == nil || t.kind != layout.Archive || r.Method != http.MethodGet {
		return "", nil
	}
	presigned, err := d.bucket.PresignGet(ctx, t.key, d.ttl)
	return suitable(r, presigned, err)
}

// suitable returns a presigned URL, or "" where the client of a request should
// not be sent there.
func suitable(r *http.Request, presigned string, err error) (string, error) {
	if err != nil {
		return "", err
	}
	u, err := url.Parse(presigned)
	if err != nil {
		return "", err
	}
	// An upgrade of the scheme is fine, but a client that came over TLS is not
	// sent out of it.
	if sameHost(u.Hostname(), r.Host) || r.TLS != nil && u.Scheme != "https" {
		return "", nil
	}
	return presigned, nil
}

// sameHost reports whether a host is that of a Host header, whatever the ports:
// netrc knows no ports.
func sameHost(host, header string) bool {
	name, _, err := net.SplitHostPort(header)
	if err != nil {
		name = header
	}
	clean := func(s string) string { return strings.ToLower(strings.TrimSuffix(strings.Trim(s, "[]"), ".")) }
	return name == "" || clean(host) == clean(name)
}

// redirect sends a client past the gateway. The entity is that of a GET.
func (s *Server) redirect(w http.ResponseWriter, to string, e *entity) {
	h := w.Header()
	h.Set("Location", to)
	if e != nil {
		h.Set("ETag", e.etag)
	}
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusTemporaryRedirect)
}
