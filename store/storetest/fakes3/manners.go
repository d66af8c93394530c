package fakes3

import "net/http"

// Conditions is how a server treats If-Match and If-None-Match on a write.
type Conditions uint8

const (
	HonourConditions Conditions = iota
	IgnoreConditions            // as if they were not there: the write succeeds
	RefuseConditions            // 501 NotImplemented
)

// MinIO returns the options for MinIO's differences from S3: it ignores
// conditions on deletes and copies, and lists unfinished uploads only by their
// exact key.
func MinIO() Options {
	return Options{
		DeleteConditions:  IgnoreConditions,
		CopyConditions:    IgnoreConditions,
		UploadPrefixIsKey: true,
	}
}

// VersityGW returns the options for versitygw's differences from S3: it ignores
// the ETags of DeleteObjects and conditions on copies, and a copy of an object
// onto itself changes nothing.
func VersityGW() Options {
	return Options{
		DeleteObjectsConditions: IgnoreConditions,
		CopyConditions:          IgnoreConditions,
		SelfCopyIgnored:         true,
	}
}

// RadosGW returns the options for the differences of Ceph's gateway from S3: it
// compares If-Match with the ETag without quotes, ignores conditions on Complete,
// neither verifies nor keeps checksums, and refuses chunked bodies.
func RadosGW() Options {
	return Options{
		UnquotedIfMatch:    true,
		CompleteConditions: IgnoreConditions,
		IgnoreChecksums:    true,
		NoChunked:          true,
	}
}

// overwrites reports whether a request would overwrite an object where that is
// refused.
func (s *Server) overwrites(req *Request) bool {
	switch req.Op {
	case "PutObject", "CopyObject", "CompleteMultipartUpload":
		return s.opts.NoOverwrite != 0 && s.store.find(req.Bucket, req.Key) != nil
	}
	return false
}

// conditionsOn returns how the server treats conditions of an operation.
func (o *Options) conditionsOn(op string) Conditions {
	switch op {
	case "DeleteObject":
		return max(o.Conditions, o.DeleteConditions)
	case "DeleteObjects":
		return max(o.Conditions, o.DeleteConditions, o.DeleteObjectsConditions)
	case "CopyObject":
		return max(o.Conditions, o.CopyConditions)
	case "CompleteMultipartUpload":
		return max(o.Conditions, o.CompleteConditions)
	}
	return o.Conditions
}

// checkConditions treats the conditions of a write as the options say.
func (s *Server) checkConditions(r *http.Request, op string) *apiError {
	if r.Method == http.MethodGet || r.Method == http.MethodHead || conditions(r.Header) == nil {
		return nil
	}
	switch s.opts.conditionsOn(op) {
	case RefuseConditions:
		return errNotImplemented
	case IgnoreConditions:
		r.Header.Del("If-Match")
		r.Header.Del("If-None-Match")
	}
	return nil
}
