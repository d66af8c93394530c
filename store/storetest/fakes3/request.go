package fakes3

import (
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Op is an operation by its name in the S3 API.
type Op string

const (
	PutObject               Op = "PutObject"
	GetObject               Op = "GetObject"
	HeadObject              Op = "HeadObject"
	CopyObject              Op = "CopyObject"
	DeleteObject            Op = "DeleteObject"
	DeleteObjects           Op = "DeleteObjects"
	ListObjects             Op = "ListObjects"
	ListObjectsV2           Op = "ListObjectsV2"
	CreateMultipartUpload   Op = "CreateMultipartUpload"
	UploadPart              Op = "UploadPart"
	UploadPartCopy          Op = "UploadPartCopy"
	CompleteMultipartUpload Op = "CompleteMultipartUpload"
	AbortMultipartUpload    Op = "AbortMultipartUpload"
	ListParts               Op = "ListParts"
	ListMultipartUploads    Op = "ListMultipartUploads"
	ListBuckets             Op = "ListBuckets"
	HeadBucket              Op = "HeadBucket"
	CreateBucket            Op = "CreateBucket"
	DeleteBucket            Op = "DeleteBucket"
	GetBucketLocation       Op = "GetBucketLocation"
	GetBucketVersioning     Op = "GetBucketVersioning"
	ListObjectVersions      Op = "ListObjectVersions"
	Unsupported             Op = "Unsupported" // unknown to the server
)

// Request is a request as it arrived.
type Request struct {
	Index  int // from 0, in the order of arrival
	Time   time.Time
	Op     Op
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
// argument.
func (s *Server) Count(ops ...Op) int {
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
func (s *Server) Counts() map[Op]int {
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
func operation(r *Request) Op {
	has := r.Query.Has
	for name := range r.Query {
		if !knownQuery(name) {
			return Unsupported
		}
	}
	switch {
	case r.Bucket == "":
		return pick(r, map[string]Op{"GET": ListBuckets})
	case r.Key == "" && has("uploads"):
		return pick(r, map[string]Op{"GET": ListMultipartUploads})
	case r.Key == "" && has("location"):
		return pick(r, map[string]Op{"GET": GetBucketLocation})
	case r.Key == "" && has("versioning"):
		return pick(r, map[string]Op{"GET": GetBucketVersioning})
	case r.Key == "" && has("versions"):
		return pick(r, map[string]Op{"GET": ListObjectVersions})
	case r.Key == "" && has("delete"):
		return pick(r, map[string]Op{"POST": DeleteObjects})
	case r.Key == "" && r.Query.Get("list-type") == "2":
		return pick(r, map[string]Op{"GET": ListObjectsV2})
	case r.Key == "":
		return pick(r, map[string]Op{"GET": ListObjects, "HEAD": HeadBucket, "PUT": CreateBucket, "DELETE": DeleteBucket})
	case has("uploads"):
		return pick(r, map[string]Op{"POST": CreateMultipartUpload})
	case has("uploadId") && r.Method == "PUT" && r.Header.Get("X-Amz-Copy-Source") != "":
		return UploadPartCopy
	case has("uploadId"):
		return pick(r, map[string]Op{"PUT": UploadPart, "POST": CompleteMultipartUpload, "DELETE": AbortMultipartUpload, "GET": ListParts})
	case r.Method == "PUT" && r.Header.Get("X-Amz-Copy-Source") != "":
		return CopyObject
	}
	return pick(r, map[string]Op{"GET": GetObject, "HEAD": HeadObject, "PUT": PutObject, "DELETE": DeleteObject})
}

func pick(r *Request, byMethod map[string]Op) Op {
	if op, ok := byMethod[r.Method]; ok {
		return op
	}
	return Unsupported
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
