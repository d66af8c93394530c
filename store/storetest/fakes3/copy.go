package fakes3

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/johannesboyne/gofakes3"
)

// copySource finds the object that a request copies.
func (s *Server) copySource(r *http.Request) (*object, *apiError) {
	source, query, _ := strings.Cut(r.Header.Get("X-Amz-Copy-Source"), "?")
	path, err := url.PathUnescape(strings.TrimPrefix(source, "/"))
	bucketName, key, ok := strings.Cut(path, "/")
	if err != nil || !ok || key == "" {
		return nil, newError(http.StatusBadRequest, "InvalidArgument", "Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
	}
	if s.store.region(bucketName) == "" {
		return nil, errNoSuchBucket
	}
	o, err := s.store.findVersion(bucketName, key, strings.TrimPrefix(query, "versionId="))
	if err != nil {
		return nil, asAPIError(err)
	}
	if o.generate != nil {
		copied := *o
		copied.body, copied.generate = o.generate(key), nil
		o = &copied
	}
	if want := r.Header.Get("X-Amz-Copy-Source-If-Match"); want != "" && strings.Trim(want, `"`) != strings.Trim(o.etag(), `"`) {
		return nil, errPrecondition
	}
	return o, nil
}

// copyObject answers CopyObject.
func (s *Server) copyObject(w http.ResponseWriter, r *http.Request, req *Request) error {
	source, fail := s.copySource(r)
	if fail != nil {
		return fail
	}
	onto := strings.TrimPrefix(r.Header.Get("X-Amz-Copy-Source"), "/")
	if s.opts.SelfCopyIgnored && onto == req.Bucket+"/"+(&url.URL{Path: req.Key}).EscapedPath() {
		writeCopyResult(w, "CopyObjectResult", source.etag(), source)
		return nil
	}
	copied := *source
	copied.version = ""
	copied.modified = s.opts.Now()
	if strings.EqualFold(r.Header.Get("X-Amz-Metadata-Directive"), "REPLACE") {
		request := make(map[string]string)
		for name := range r.Header {
			request[name] = r.Header.Get(name)
		}
		copied.header = s.store.objectHeader(request)
	}
	if err := s.store.replace(req.Bucket, req.Key, &copied, conditions(r.Header)); err != nil {
		return err
	}
	setVersion(w, &copied)
	writeCopyResult(w, "CopyObjectResult", copied.etag(), &copied)
	return nil
}

// copyPart answers UploadPartCopy.
func (s *Server) copyPart(w http.ResponseWriter, r *http.Request, req *Request) error {
	source, fail := s.copySource(r)
	if fail != nil {
		return fail
	}
	body := source.body
	if rng := r.Header.Get("X-Amz-Copy-Source-Range"); rng != "" {
		var first, last int
		if n, err := fmt.Sscanf(rng, "bytes=%d-%d", &first, &last); n != 2 || err != nil || first < 0 || last < first || last >= len(body) {
			return newError(http.StatusBadRequest, "InvalidArgument", fmt.Sprintf("Range %q is not valid for source object of size %d", rng, len(body)))
		}
		body = body[first : last+1]
	}
	number, err := strconv.Atoi(req.Query.Get("partNumber"))
	if err != nil || number < 1 || number > gofakes3.MaxUploadPartNumber {
		return newError(http.StatusBadRequest, "InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive")
	}
	etag, err := s.store.UploadPart(req.Bucket, req.Key, gofakes3.UploadID(req.Query.Get("uploadId")), number, int64(len(body)), bytes.NewReader(body))
	if err != nil {
		return err
	}
	writeCopyResult(w, "CopyPartResult", etag, source)
	return nil
}

func writeCopyResult(w http.ResponseWriter, name, etag string, o *object) {
	w.Header().Set("Content-Type", "application/xml")
	writeXML(w, struct {
		XMLName      xml.Name
		ETag         string
		LastModified gofakes3.ContentTime
	}{xml.Name{Local: name}, etag, gofakes3.NewContentTime(o.modified)})
}
