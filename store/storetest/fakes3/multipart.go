package fakes3

import (
	"cmp"
	"crypto/md5"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/johannesboyne/gofakes3"
)

// upload is an unfinished multipart upload.
type upload struct {
	id        gofakes3.UploadID
	key       string
	header    map[string]string
	initiated time.Time
	parts     map[int]*part
}

// part does not change.
type part struct {
	number   int
	body     []byte
	md5      [md5.Size]byte
	modified time.Time
}

func (p *part) etag() string { return gofakes3.FormatETag(p.md5[:]) }

// upload finds an upload. The caller holds the lock.
func (s *store) upload(bucketName, key string, id gofakes3.UploadID) (*bucket, *upload, error) {
	b, err := s.bucket(bucketName)
	if err != nil {
		return nil, nil, err
	}
	u := b.uploads[id]
	if u == nil || u.key != key {
		return nil, nil, gofakes3.ErrNoSuchUpload
	}
	return b, u, nil
}

func (s *store) CreateMultipartUpload(bucketName, key string, meta map[string]string) (gofakes3.UploadID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.bucket(bucketName)
	if err != nil {
		return "", err
	}
	s.uploadID++
	id := gofakes3.UploadID(fmt.Sprintf("upload+%06d/=", s.uploadID)) // as awkward in a query as those of S3
	b.uploads[id] = &upload{id: id, key: key, header: s.objectHeader(meta), initiated: s.opts.Now(), parts: make(map[int]*part)}
	return id, nil
}

func (s *store) UploadPart(bucketName, key string, id gofakes3.UploadID, number int, size int64, input io.Reader) (string, error) {
	body := make([]byte, size)
	if _, err := io.ReadFull(input, body); err != nil {
		return "", gofakes3.ErrIncompleteBody
	}
	p := &part{number: number, body: body, md5: md5.Sum(body), modified: s.opts.Now()}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, u, err := s.upload(bucketName, key, id)
	if err != nil {
		return "", err
	}
	u.parts[number] = p
	return p.etag(), nil
}

func (s *store) AbortMultipartUpload(bucketName, key string, id gofakes3.UploadID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, _, err := s.upload(bucketName, key, id)
	if err != nil {
		return err
	}
	delete(b.uploads, id)
	return nil
}

func (s *store) ListParts(bucketName, key string, id gofakes3.UploadID, marker int, limit int64) (*gofakes3.ListMultipartUploadPartsResult, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, u, err := s.upload(bucketName, key, id)
	if err != nil {
		return nil, err
	}
	result := &gofakes3.ListMultipartUploadPartsResult{Bucket: bucketName, Key: key, UploadID: id, MaxParts: limit, PartNumberMarker: marker}
	for _, p := range u.sorted() {
		if p.number <= marker {
			continue
		}
		if int64(len(result.Parts)) == limit {
			result.IsTruncated = true
			break
		}
		result.NextPartNumberMarker = p.number
		result.Parts = append(result.Parts, gofakes3.ListMultipartUploadPartItem{
			PartNumber: p.number, ETag: p.etag(), Size: int64(len(p.body)), LastModified: gofakes3.NewContentTime(p.modified),
		})
	}
	return result, nil
}

func (u *upload) sorted() []*part {
	var parts []*part
	for _, p := range u.parts {
		parts = append(parts, p)
	}
	slices.SortFunc(parts, func(x, y *part) int { return cmp.Compare(x.number, y.number) })
	return parts
}

func (s *store) ListMultipartUploads(bucketName string, marker *gofakes3.UploadListMarker, prefix gofakes3.Prefix, limit int64) (*gofakes3.ListMultipartUploadsResult, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, err := s.bucket(bucketName)
	if err != nil {
		return nil, err
	}
	limit = min(limit, int64(s.opts.PageSize))
	result := &gofakes3.ListMultipartUploadsResult{Bucket: bucketName, Prefix: prefix.Prefix, MaxUploads: limit}
	if marker != nil {
		result.KeyMarker, result.UploadIDMarker = marker.Object, marker.UploadID
	}
	for _, u := range b.sortedUploads() {
		if !strings.HasPrefix(u.key, prefix.Prefix) || s.opts.UploadPrefixIsKey && u.key != prefix.Prefix || marker != nil && !u.after(marker) {
			continue
		}
		if int64(len(result.Uploads)) == limit {
			result.IsTruncated = true
			break
		}
		result.NextKeyMarker, result.NextUploadIDMarker = u.key, u.id
		result.Uploads = append(result.Uploads, gofakes3.ListMultipartUploadItem{Key: u.key, UploadID: u.id, Initiated: gofakes3.NewContentTime(u.initiated)})
	}
	return result, nil
}

func (u *upload) after(m *gofakes3.UploadListMarker) bool {
	return u.key > m.Object || u.key == m.Object && m.UploadID != "" && u.id > m.UploadID
}

func (b *bucket) sortedUploads() []*upload {
	var uploads []*upload
	for _, u := range b.uploads {
		uploads = append(uploads, u)
	}
	slices.SortFunc(uploads, func(x, y *upload) int {
		return cmp.Or(strings.Compare(x.key, y.key), cmp.Compare(x.id, y.id))
	})
	return uploads
}

// CompleteMultipartUpload is not called: completeUpload answers, since gofakes3
// has no conditions there.
func (s *store) CompleteMultipartUpload(_, _ string, _ gofakes3.UploadID, _ *gofakes3.CompleteMultipartUploadRequest) (gofakes3.VersionID, string, error) {
	return "", "", gofakes3.ErrNotImplemented
}

// complete joins the parts, if the conditions hold.
func (s *store) complete(bucketName, key string, id gofakes3.UploadID, named []gofakes3.CompletedPart, conditions *gofakes3.PutConditions) (*object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, u, err := s.upload(bucketName, key, id)
	if err != nil {
		return nil, err
	}
	parts, size, err := u.pick(named, s.opts.MinPartSize)
	if err != nil {
		return nil, err
	}
	body := make([]byte, 0, size)
	for _, p := range parts {
		body = append(body, p.body...)
	}
	o := &object{body: body, size: size, sum: multipartSum(parts), parts: len(parts), modified: s.opts.Now(), header: u.header}
	if err := s.put(b, key, o, conditions); err != nil {
		return nil, err
	}
	delete(b.uploads, id)
	return o, nil
}

// pick returns the parts that the client names.
func (u *upload) pick(named []gofakes3.CompletedPart, minSize int64) (parts []*part, size int64, err error) {
	if len(named) == 0 {
		return nil, 0, errMalformedXML
	}
	for i, w := range named {
		p := u.parts[w.PartNumber]
		switch {
		case i > 0 && w.PartNumber <= named[i-1].PartNumber:
			return nil, 0, newError(http.StatusBadRequest, "InvalidPartOrder", "The list of parts was not in ascending order.")
		case p == nil || strings.Trim(w.ETag, `"`) != strings.Trim(p.etag(), `"`):
			return nil, 0, newError(http.StatusBadRequest, "InvalidPart", fmt.Sprintf("Part %d could not be found or its ETag does not match.", w.PartNumber))
		case i < len(named)-1 && int64(len(p.body)) < minSize:
			return nil, 0, newError(http.StatusBadRequest, "EntityTooSmall", fmt.Sprintf("Part %d is smaller than the minimum allowed size", w.PartNumber))
		}
		parts = append(parts, p)
		size += int64(len(p.body))
	}
	return parts, size, nil
}

// completeUpload answers CompleteMultipartUpload.
func (s *Server) completeUpload(w http.ResponseWriter, r *http.Request, req *Request) error {
	var in gofakes3.CompleteMultipartUploadRequest
	if err := xml.NewDecoder(r.Body).Decode(&in); err != nil {
		return errMalformedXML
	}
	o, err := s.store.complete(req.Bucket, req.Key, gofakes3.UploadID(req.Query.Get("uploadId")), in.Parts, conditions(r.Header))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/xml")
	setVersion(w, o)
	writeXML(w, struct {
		XMLName xml.Name `xml:"CompleteMultipartUploadResult"`
		gofakes3.CompleteMultipartUploadResult
	}{CompleteMultipartUploadResult: gofakes3.CompleteMultipartUploadResult{
		Location: s.Endpoint() + r.URL.EscapedPath(), Bucket: req.Bucket, Key: req.Key, ETag: o.etag(),
	}})
	return nil
}

// conditions reads the conditions of a write, nil for none.
func conditions(h http.Header) *gofakes3.PutConditions {
	var c gofakes3.PutConditions
	if v := h.Get("If-Match"); v != "" {
		c.IfMatch = &v
	}
	if v := h.Get("If-None-Match"); v != "" {
		c.IfNoneMatch = &v
	}
	if c == (gofakes3.PutConditions{}) {
		return nil
	}
	return &c
}
