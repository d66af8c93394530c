package fakes3

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// operations are the operations that the server knows, by their names in the S3
// API.
var operations = []string{
	"PutObject", "GetObject", "HeadObject", "CopyObject", "DeleteObject", "DeleteObjects", "ListObjects", "ListObjectsV2",
	"CreateMultipartUpload", "UploadPart", "UploadPartCopy", "CompleteMultipartUpload", "AbortMultipartUpload", "ListParts",
	"ListMultipartUploads", "ListBuckets", "HeadBucket", "CreateBucket", "DeleteBucket", "GetBucketLocation",
	"GetBucketVersioning", "ListObjectVersions", unsupported,
}

// unsupported stands for all other operations.
const unsupported = "Unsupported"

// mustKnow panics unless the server knows an operation, so that a misspelt name
// in a test does not count nothing.
func mustKnow(op string) {
	if !slices.Contains(operations, op) {
		panic(fmt.Sprintf("fakes3: unknown operation %q", op))
	}
}

// Request is a request as it arrived.
type Request struct {
	Index  int // from 0, in the order of arrival
	Time   time.Time
	Op     string // its name in the S3 API, such as "GetObject"; else "Unsupported"
	Method string
	Host   string
	Bucket string
	Key    string
	Query  url.Values
	Header http.Header // as it arrived
	Length int64       // of the body as announced, -1 for none
	Proto  string      // "HTTP/1.1" or "HTTP/2.0"
	Remote string      // the client's end of the connection

	virtual bool // the bucket is in the host, not in the path

	// Set when the request is done.
	Done   bool
	ID     string // of the answer, x-amz-request-id
	Status int    // 0 if no answer has begun
	Code   string // S3's name of the error, if the answer is one
	Sent   int64  // bytes of the answer's body that were sent
	Fault  *Fault // that was injected, nil for none
}

// Requests returns a copy of the log in the order of arrival.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	log := make([]Request, len(s.requests))
	for i, r := range s.requests {
		log[i] = *r
	}
	return log
}

// Count returns the number of requests of the operations, or of all without an
// argument. It panics for an unknown operation.
func (s *Server) Count(ops ...string) int {
	for _, op := range ops {
		mustKnow(op)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(ops) == 0 {
		return s.received
	}
	n := 0
	for _, op := range ops {
		n += s.counts[op]
	}
	return n
}

// Counts returns the number of requests of each operation.
func (s *Server) Counts() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.counts)
}

// ResetLog clears the log. Indexes and the other counts begin again.
func (s *Server) ResetLog() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = nil
	s.received = 0
	clear(s.counts)
	s.connections = 0
	s.maxInFlight = s.inFlight
}

// Connections returns the number of connections that were opened.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connections
}

// MaxInFlight returns the greatest number of requests at one time.
func (s *Server) MaxInFlight() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.maxInFlight
}

// newRequest describes r. Bucket and key come from the host or the path.
func (s *Server) newRequest(r *http.Request) *Request {
	req := &Request{
		Time:   s.opts.Now(),
		Method: r.Method,
		Host:   r.Host,
		Query:  r.URL.Query(),
		Header: maps.Clone(r.Header),
		Length: r.ContentLength,
		Proto:  r.Proto,
		Remote: r.RemoteAddr,
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	path := strings.TrimPrefix(r.URL.Path, "/")
	if bucket, ok := strings.CutSuffix(host, "."+s.opts.Domain); ok {
		req.Bucket, req.Key, req.virtual = bucket, path, true
	} else {
		req.Bucket, req.Key, _ = strings.Cut(path, "/")
	}
	req.Op = operation(req)
	return req
}

// operation returns the operation of a request.
func operation(r *Request) string {
	has := r.Query.Has
	for name := range r.Query {
		if !knownQuery(name) {
			return unsupported
		}
	}
	switch {
	case r.Bucket == "":
		return pick(r, map[string]string{"GET": "ListBuckets"})
	case r.Key == "" && has("uploads"):
		return pick(r, map[string]string{"GET": "ListMultipartUploads"})
	case r.Key == "" && has("location"):
		return pick(r, map[string]string{"GET": "GetBucketLocation"})
	case r.Key == "" && has("versioning"):
		return pick(r, map[string]string{"GET": "GetBucketVersioning"})
	case r.Key == "" && has("versions"):
		return pick(r, map[string]string{"GET": "ListObjectVersions"})
	case r.Key == "" && has("delete"):
		return pick(r, map[string]string{"POST": "DeleteObjects"})
	case r.Key == "" && r.Query.Get("list-type") == "2":
		return pick(r, map[string]string{"GET": "ListObjectsV2"})
	case r.Key == "":
		return pick(r, map[string]string{"GET": "ListObjects", "HEAD": "HeadBucket", "PUT": "CreateBucket", "DELETE": "DeleteBucket"})
	case has("uploads"):
		return pick(r, map[string]string{"POST": "CreateMultipartUpload"})
	case has("uploadId") && r.Method == "PUT" && r.Header.Get("X-Amz-Copy-Source") != "":
		return "UploadPartCopy"
	case has("uploadId"):
		return pick(r, map[string]string{"PUT": "UploadPart", "POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload", "GET": "ListParts"})
	case r.Method == "PUT" && r.Header.Get("X-Amz-Copy-Source") != "":
		return "CopyObject"
	}
	return pick(r, map[string]string{"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject"})
}

func pick(r *Request, byMethod map[string]string) string {
	if op, ok := byMethod[r.Method]; ok {
		return op
	}
	return unsupported
}

// knownQuery reports whether the server knows a parameter of the query. An
// unknown subresource would otherwise read as another operation.
func knownQuery(name string) bool {
	switch strings.ToLower(name) {
	case "uploads", "uploadid", "partnumber", "location", "delete", "x-id", "versionid", "versions", "versioning", "version-id-marker",
		"list-type", "prefix", "delimiter", "start-after", "continuation-token", "marker", "max-keys", "encoding-type", "fetch-owner",
		"key-marker", "upload-id-marker", "max-uploads", "max-parts", "part-number-marker":
		return true
	}
	return strings.HasPrefix(name, "X-Amz-") || strings.HasPrefix(name, "response-")
}
