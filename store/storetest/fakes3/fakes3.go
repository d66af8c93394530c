// Package fakes3 is an S3 server in this process. It is as strict as the real
// ones, and differs from S3 as its options say. Tests use it through
// storetest.NewS3; programs that need a bucket for a while use [Start].
//
// gofakes3 speaks the protocol to a store in memory. This package adds what it
// lacks and what breaks clients in practice:
//
//   - Every signature (SigV4 in headers, presigned URLs and chunks) is verified,
//     also if a proxy rewrites headers on the way.
//   - Payload digests, checksums, trailers and Content-MD5 are verified, or
//     refused as by servers that do not know them. A checksum is kept and comes
//     back with HEAD.
//   - Conditional writes and deletes, part sizes, ETags, pages, versions and the
//     403 for missing keys of a bucket that may not be listed are those of S3.
//     [MinIO], [VersityGW] and [RadosGW] return the options for what these
//     servers do otherwise.
//   - [Fault] fails the N-th request of an operation: with an error, a reset, a body
//     that is cut, or an answer that is lost after the work was done.
//
// Every request is logged and counted. Objects are in memory and are gone with
// the server; [Server.PutGenerated] stores very many.
package fakes3

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/johannesboyne/gofakes3"
)

// Pins says what a server does with X-Amz-Content-Sha256 in the query of a
// presigned URL.
type Pins uint8

const (
	PinsRefused  Pins = iota // signs UNSIGNED-PAYLOAD all the same, as versitygw
	PinsEnforced             // refuses other content, as MinIO
	PinsIgnored              // takes any content
)

// Options are the settings of a server. The zero value is an empty AWS S3 in
// us-east-1 over plain HTTP that knows [DefaultCredentials].
type Options struct {
	Buckets     []string      // exist from the start, in Region
	Region      string        // default "us-east-1"
	Credentials []Credentials // that the server knows; default DefaultCredentials
	Anonymous   Access        // what requests without a signature may do

	TLS   bool // serve https with its own certificate, see CertPool
	HTTP2 bool // offer HTTP/2 on TLS, as servers other than S3 do

	// Domain is the name below which buckets are virtual hosts:
	// <bucket>.<Domain>. Default "localhost". It need not resolve, since
	// Client dials the server whatever the host.
	Domain      string
	NoPathStyle bool // refuse requests that name the bucket in the path

	// ProxyAcceptEncoding is appended to the Accept-Encoding of each request
	// before its signature is verified, as Google's front end appends
	// "gzip(gfe)". Clients that sign that header then fail.
	ProxyAcceptEncoding string

	// Pins is what becomes of the hash of the content in a presigned URL.
	Pins Pins

	NoChunked         bool // refuse aws-chunked bodies
	NoChecksums       bool // refuse x-amz-checksum-*, x-amz-sdk-checksum-algorithm and trailers, except on "DeleteObjects"
	RequireContentMD5 bool // "DeleteObjects" needs Content-MD5 and accepts no other checksum

	// Unlistable denies listing, so that a missing key answers 403.
	Unlistable bool

	// RedirectRegion answers requests signed for another region than the
	// bucket's with 301, not with 400.
	RedirectRegion bool

	// Conditions is how conditional writes are treated. The others concern one
	// operation; the less friendly of the two holds. See also MinIO, VersityGW
	// and RadosGW.
	Conditions              Conditions
	DeleteConditions        Conditions // of "DeleteObject" and "DeleteObjects"
	DeleteObjectsConditions Conditions
	CopyConditions          Conditions // of "CopyObject", on the destination
	CompleteConditions      Conditions // of "CompleteMultipartUpload"

	UnquotedIfMatch   bool // If-Match with a quoted ETag never holds
	SelfCopyIgnored   bool // a copy of an object onto itself changes nothing
	UploadPrefixIsKey bool // "ListMultipartUploads" yields the uploads of one key
	IgnoreChecksums   bool // x-amz-checksum-* are neither verified nor kept
	NoOverwrite       int  // the status that refuses to overwrite an object; 0 permits it

	// Versioned makes buckets keep versions: a delete leaves a marker, and
	// only one that names a version removes it for good.
	Versioned bool

	MinPartSize int64 // of all parts but the last; default 5 MiB
	PageSize    int   // most keys of one page of a listing; default 1,000
	MaxInFlight int   // more requests at a time answer 503 SlowDown; 0 means no limit

	Latency time.Duration // added to every request

	// LogLimit is the number of requests that the log keeps, the newest; 0
	// keeps all. The counts do not depend on it.
	LogLimit int

	// Now is the server's clock; nil is time.Now.
	Now func() time.Time
}

// Access is the set of permitted requests.
type Access uint8

const (
	NoAccess Access = iota
	ReadAccess
	FullAccess
)

// Server is a running fake S3. Its methods are safe for concurrent use.
type Server struct {
	opts     Options
	store    *store
	protocol http.Handler // gofakes3
	http     *http.Server
	listener net.Listener
	cert     *tls.Certificate
	roots    *x509.CertPool

	closing  chan struct{}
	handlers sync.WaitGroup

	mu          sync.Mutex
	credentials []Credentials
	faults      []*armed
	requests    []*Request // the newest LogLimit
	received    int        // requests since the log was reset
	counts      map[string]int
	connections int
	inFlight    int
	maxInFlight int
}

// Start starts a server on a free port of 127.0.0.1.
func Start(opts Options) (*Server, error) {
	opts.Region = cmp.Or(opts.Region, "us-east-1")
	opts.Domain = cmp.Or(opts.Domain, "localhost")
	opts.MinPartSize = cmp.Or(opts.MinPartSize, 5<<20)
	opts.PageSize = cmp.Or(opts.PageSize, 1000)
	if opts.Credentials == nil {
		opts.Credentials = []Credentials{DefaultCredentials}
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	s := &Server{
		opts:        opts,
		store:       newStore(opts),
		credentials: opts.Credentials,
		closing:     make(chan struct{}),
		counts:      make(map[string]int),
	}
	for _, name := range opts.Buckets {
		if err := s.AddBucket(name, opts.Region); err != nil {
			return nil, err
		}
	}
	s.protocol = gofakes3.New(s.store,
		gofakes3.WithTimeSkewLimit(0),
		gofakes3.WithMetadataSizeLimit(0),
		gofakes3.WithIntegrityCheck(false), // this package does it for all operations
	).Server()

	var err error
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("fake S3: %w", err)
	}
	s.http = &http.Server{
		Handler:  s,
		ErrorLog: log.New(io.Discard, "", 0), // resets are intended
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				s.mu.Lock()
				s.connections++
				s.mu.Unlock()
			}
		},
		Protocols: new(http.Protocols),
	}
	s.http.Protocols.SetHTTP1(true)
	if !opts.TLS {
		go s.http.Serve(s.listener)
		return s, nil
	}
	s.http.Protocols.SetHTTP2(opts.HTTP2)
	if s.cert, s.roots, err = newCertificate(opts.Domain); err != nil {
		s.listener.Close()
		return nil, fmt.Errorf("fake S3: %w", err)
	}
	s.http.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*s.cert}}
	go s.http.ServeTLS(s.listener, "", "")
	return s, nil
}

// Close ends all connections and returns when no handler runs.
func (s *Server) Close() error {
	s.mu.Lock()
	select {
	case <-s.closing:
	default:
		close(s.closing)
	}
	s.mu.Unlock()
	err := s.http.Close()
	s.handlers.Wait()
	return err
}

// Addr returns the address that the server listens on, "127.0.0.1:port".
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Endpoint returns the URL of the server: "http://127.0.0.1:port" or https.
func (s *Server) Endpoint() string {
	if s.opts.TLS {
		return "https://" + s.Addr()
	}
	return "http://" + s.Addr()
}

// Region returns the server's region.
func (s *Server) Region() string { return s.opts.Region }

// Client returns a new client that reaches the server under every host name and
// trusts its certificate. The caller closes its idle connections.
func (s *Server) Client() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.Proxy = nil
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, 1024
	t.DialContext = s.DialContext
	if s.opts.TLS {
		t.TLSClientConfig = &tls.Config{RootCAs: s.roots}
	}
	return &http.Client{Transport: t}
}

// DialContext connects to the server whatever the address, for other transports
// than Client's.
func (s *Server) DialContext(ctx context.Context, network, _ string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, s.Addr())
}

// CertPool returns the pool that trusts the certificate, nil without TLS.
func (s *Server) CertPool() *x509.CertPool { return s.roots }

// SetCredentials replaces the credentials that the server knows, as a rotation
// does.
func (s *Server) SetCredentials(c ...Credentials) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.credentials = c
}
