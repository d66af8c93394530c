package fakes3

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/johannesboyne/gofakes3"
)

// ServeHTTP answers one request. Tests use it behind another listener or a
// proxy.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	req, fault, fail := s.begin(r)
	if req == nil {
		panic(http.ErrAbortHandler) // the server is closed
	}
	rw := &response{w: w, r: r, limit: -1}
	defer s.end(req, rw)
	rw.Header().Set("Server", "AmazonS3")
	rw.Header().Set(requestIDHeader, fmt.Sprintf("%016X", req.Index))
	if fail != nil {
		fail.write(rw, r)
		return
	}
	s.wait(r, s.opts.Latency)
	if fault != nil && s.apply(fault, rw, r) {
		return
	}
	s.answer(rw, r, req)
	if fault != nil && fault.Kind == "lose-response" {
		reset(w)
	}
	rw.finish()
}

const requestIDHeader = "X-Amz-Request-Id"

// begin logs a request and chooses its fault.
func (s *Server) begin(r *http.Request) (*Request, *Fault, *apiError) {
	req := s.newRequest(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.closing:
		return nil, nil, nil
	default:
	}
	s.handlers.Add(1)
	req.Index = s.received
	s.received++
	s.counts[req.Op]++
	if s.opts.LogLimit > 0 && len(s.requests) == s.opts.LogLimit {
		s.requests = s.requests[1:]
	}
	s.requests = append(s.requests, req)
	s.inFlight++
	s.maxInFlight = max(s.maxInFlight, s.inFlight)
	if s.opts.MaxInFlight > 0 && s.inFlight > s.opts.MaxInFlight {
		return req, nil, errSlowDown
	}
	req.Fault = s.strike(req)
	return req, req.Fault, nil
}

func (s *Server) end(req *Request, rw *response) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight--
	req.Done, req.Status, req.Code, req.Sent = true, rw.status, rw.code, rw.sent
	req.ID = rw.Header().Get(requestIDHeader)
	s.handlers.Done()
}

// wait waits. If the client or the server ends in the meantime, wait ends the
// handler and the connection.
func (s *Server) wait(r *http.Request, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
		panic(http.ErrAbortHandler)
	case <-s.closing:
		panic(http.ErrAbortHandler)
	}
}

// apply performs a fault and reports whether the request is answered.
func (s *Server) apply(f *Fault, rw *response, r *http.Request) bool {
	s.wait(r, f.Delay)
	switch f.Kind {
	case "":
		fail := f.error()
		rw.code = fail.Code
		fail.write(rw, r)
		return true
	case "fail-in-200":
		fail := f.error()
		rw.code = fail.Code
		rw.Header().Set("Content-Type", "application/xml")
		io.Copy(io.Discard, r.Body)
		writeXML(rw, fail)
		return true
	case "reset":
		reset(rw.w)
	case "reset-upload":
		io.CopyN(io.Discard, r.Body, f.After)
		reset(rw.w)
	case "reset-body":
		rw.limit, rw.cut = f.After, reset
	case "truncate":
		rw.limit, rw.cut = f.After, func(http.ResponseWriter) { panic(http.ErrAbortHandler) }
	case "lose-response":
		rw.lost = true
	case "hang":
		s.wait(r, math.MaxInt64)
	}
	return false
}

// answer performs the request.
func (s *Server) answer(rw *response, r *http.Request, req *Request) {
	if err := s.handle(rw, r, req); err != nil {
		fail := asAPIError(err)
		rw.code = fail.Code
		fail.write(rw, r)
	}
}

func (s *Server) handle(rw *response, r *http.Request, req *Request) error {
	if accept := s.opts.ProxyAcceptEncoding; accept != "" {
		r.Header.Set("Accept-Encoding", strings.TrimPrefix(r.Header.Get("Accept-Encoding")+","+accept, ","))
	}
	g, access, fail := s.authenticate(r)
	if fail != nil {
		return fail
	}
	if fail := s.route(r, req); fail != nil {
		return fail
	}
	if fail := s.authorize(req, g, access); fail != nil {
		return fail
	}
	if fail := s.checkConditions(r, req.Op); fail != nil {
		return fail
	}
	if r.Method == http.MethodPut || r.Method == http.MethodPost {
		if fail := s.readPayload(r, req.Op, g); fail != nil {
			return fail
		}
	}
	if s.overwrites(req) {
		return newError(s.opts.NoOverwrite, "ObjectAlreadyExists", "The object exists and cannot be overwritten.")
	}
	switch req.Op {
	case "CompleteMultipartUpload":
		return s.completeUpload(rw, r, req)
	case "CopyObject":
		return s.copyObject(rw, r, req)
	case "UploadPartCopy":
		return s.copyPart(rw, r, req)
	case "DeleteObject":
		return s.deleteObject(rw, r, req)
	case "DeleteObjects":
		return s.deleteObjects(rw, r, req)
	case "ListObjectVersions":
		return s.listVersions(rw, req)
	case "GetBucketVersioning":
		return s.bucketVersioning(rw)
	case "GetBucketLocation":
		return s.bucketLocation(rw, req)
	case "HeadBucket":
		rw.Header().Set("X-Amz-Bucket-Region", s.store.region(req.Bucket))
	case "PutObject", "CreateMultipartUpload":
		if v := r.Header.Get("Cache-Control"); v != "" {
			r.Header.Set(cacheHeader, v)
		}
	case "GetObject", "HeadObject":
		rw.ifMatch = r.Header.Get("If-Match")
		if version := req.Query.Get("versionId"); version != "" {
			selectVersion(r, version)
		}
	}
	s.protocol.ServeHTTP(rw, r)
	return nil
}

// route makes the path that gofakes3 expects: /bucket/key.
func (s *Server) route(r *http.Request, req *Request) *apiError {
	if req.virtual {
		r.URL.Path = "/" + req.Bucket + "/" + req.Key
		r.URL.RawPath = ""
	} else if s.opts.NoPathStyle && req.Bucket != "" {
		return newError(http.StatusForbidden, "SecondLevelDomainForbidden", "Please use virtual hosted style to access.")
	}
	if req.Op == unsupported {
		return errNotImplemented
	}
	return nil
}

// authorize fails unless the request is permitted in this region.
func (s *Server) authorize(req *Request, g *signature, access Access) *apiError {
	region := s.store.region(req.Bucket)
	if req.Bucket != "" && region == "" && req.Op != "CreateBucket" && access != NoAccess {
		return errNoSuchBucket
	}
	if fail := s.checkRegion(g, region); fail != nil {
		return fail
	}
	if access == NoAccess {
		return errAccessDenied
	}
	switch req.Op {
	case "GetObject", "HeadObject":
		if s.opts.Unlistable && s.store.find(req.Bucket, req.Key) == nil && !req.Query.Has("versionId") {
			return errAccessDenied
		}
	case "ListObjects", "ListObjectsV2", "ListObjectVersions", "HeadBucket":
		if s.opts.Unlistable {
			return errAccessDenied
		}
	case "GetBucketLocation", "GetBucketVersioning":
	default:
		if access != FullAccess {
			return errAccessDenied
		}
	}
	return nil
}

// checkRegion fails if a request is signed for a region other than its
// bucket's.
func (s *Server) checkRegion(g *signature, region string) *apiError {
	if region == "" {
		region = s.opts.Region
	}
	if g == nil || g.region == region {
		return nil
	}
	fail := malformedAuthorization("the region '" + g.region + "' is wrong; expecting '" + region + "'")
	if s.opts.RedirectRegion {
		fail = newError(http.StatusMovedPermanently, "PermanentRedirect", "The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future requests to this endpoint.")
	}
	fail.Region = region
	fail.header = http.Header{"X-Amz-Bucket-Region": {region}}
	return fail
}

func (s *Server) bucketLocation(w http.ResponseWriter, req *Request) error {
	region := s.store.region(req.Bucket)
	if region == "us-east-1" {
		region = "" // as S3 calls it
	}
	w.Header().Set("Content-Type", "application/xml")
	writeXML(w, gofakes3.GetBucketLocation{Xmlns: "http://s3.amazonaws.com/doc/2006-03-01/", LocationConstraint: region})
	return nil
}

// asAPIError returns the answer for an error.
func asAPIError(err error) *apiError {
	var fail *apiError
	if errors.As(err, &fail) {
		return fail
	}
	var e gofakes3.Error
	if errors.As(err, &e) {
		return newError(e.ErrorCode().Status(), string(e.ErrorCode()), e.Error())
	}
	return newError(http.StatusInternalServerError, "InternalError", err.Error())
}
