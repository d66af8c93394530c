package fakes3

import (
	"bytes"
	"cmp"
	"crypto/md5"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/johannesboyne/gofakes3"
)

// store holds buckets and objects. It implements gofakes3.Backend and
// gofakes3.MultipartBackend.
type store struct {
	opts Options

	mu       sync.RWMutex
	buckets  map[string]*bucket
	uploadID int
	versions int
	headers  sync.Map // of objects, by their text
}

type bucket struct {
	region  string
	created time.Time
	objects map[string]*object
	keys    keySet // of objects
	uploads map[gofakes3.UploadID]*upload
	history map[string][]*object // of a versioned bucket: all versions, the newest first; else nil
}

// object is a version of an object. It does not change once it is stored. It is
// small, since servers hold millions.
type object struct {
	body     []byte
	generate func(key string) []byte // the body; nil if body is it
	size     int64
	sum      [md5.Size]byte
	parts    int // that it was stored in; 0 for one request
	modified time.Time
	header   map[string]string // shared
	version  string            // of a versioned bucket
	marker   bool              // of a deletion
}

// etag returns the ETag with quotes.
func (o *object) etag() string {
	if o.parts > 0 {
		return fmt.Sprintf(`"%x-%d"`, o.sum, o.parts)
	}
	return gofakes3.FormatETag(o.sum[:])
}

func (o *object) contents(key string) []byte {
	if o.generate != nil {
		return o.generate(key)
	}
	return o.body
}

func (s *store) newObject(body []byte, header map[string]string) *object {
	return &object{body: body, size: int64(len(body)), sum: md5.Sum(body), modified: s.opts.Now(), header: header}
}

var (
	_ gofakes3.Backend          = (*store)(nil)
	_ gofakes3.MultipartBackend = (*store)(nil)
)

func newStore(opts Options) *store {
	return &store{opts: opts, buckets: make(map[string]*bucket)}
}

// etagHeader carries an ETag that is not an MD5 from the store to the answer, and
// cacheHeader carries Cache-Control from the request to the store. gofakes3 has
// no place for them.
const (
	etagHeader  = "X-Amz-Fakes3-Etag"
	cacheHeader = "X-Amz-Fakes3-Cache-Control"
)

// objectHeader picks the headers of an upload that S3 keeps. Uploads with the
// same ones share them.
func (s *store) objectHeader(request map[string]string) map[string]string {
	kept := make(map[string]string)
	for name, value := range request {
		switch {
		case name == "Content-Type", name == "Content-Encoding", name == "Content-Disposition",
			name == "X-Amz-Storage-Class", name == "X-Amz-Checksum-Type",
			strings.HasPrefix(name, "X-Amz-Meta-"), strings.HasPrefix(name, "X-Amz-Server-Side-Encryption"),
			checksums[strings.TrimPrefix(name, checksumPrefix)] != nil && !s.opts.IgnoreChecksums:
			kept[name] = value
		case name == cacheHeader:
			kept["Cache-Control"] = value
		}
	}
	if kept["Content-Type"] == "" {
		kept["Content-Type"] = "binary/octet-stream"
	}
	var name strings.Builder
	for _, header := range slices.Sorted(maps.Keys(kept)) {
		if strings.HasPrefix(header, checksumPrefix) {
			return kept // each object has its own
		}
		fmt.Fprintf(&name, "%q:%q", header, kept[header])
	}
	shared, _ := s.headers.LoadOrStore(name.String(), kept)
	return shared.(map[string]string)
}

func (s *store) bucket(name string) (*bucket, error) {
	if b := s.buckets[name]; b != nil {
		return b, nil
	}
	return nil, gofakes3.BucketNotFound(name)
}

// find returns an object, nil if there is none.
func (s *store) find(bucketName, key string) *object {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if b := s.buckets[bucketName]; b != nil {
		return b.objects[key]
	}
	return nil
}

// region returns the region of a bucket, "" if there is no bucket.
func (s *store) region(name string) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if b := s.buckets[name]; b != nil {
		return b.region
	}
	return ""
}

func (s *store) addBucket(name, region string) error {
	if err := gofakes3.ValidateBucketName(name); err != nil {
		return fmt.Errorf("bucket %q: %w", name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buckets[name] != nil {
		return gofakes3.ResourceError(gofakes3.ErrBucketAlreadyExists, name)
	}
	b := &bucket{
		region:  cmp.Or(region, s.opts.Region),
		created: s.opts.Now(),
		objects: make(map[string]*object),
		uploads: make(map[gofakes3.UploadID]*upload),
	}
	if s.opts.Versioned {
		b.history = make(map[string][]*object)
	}
	s.buckets[name] = b
	return nil
}

func (s *store) ListBuckets() ([]gofakes3.BucketInfo, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var infos []gofakes3.BucketInfo
	for _, name := range slices.Sorted(maps.Keys(s.buckets)) {
		infos = append(infos, gofakes3.BucketInfo{Name: name, CreationDate: gofakes3.NewContentTime(s.buckets[name].created)})
	}
	return infos, nil
}

func (s *store) CreateBucket(name string) error { return s.addBucket(name, s.opts.Region) }

func (s *store) BucketExists(name string) (bool, error) {
	return s.region(name) != "", nil
}

func (s *store) DeleteBucket(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.bucket(name)
	if err != nil {
		return err
	}
	if len(b.objects) > 0 || len(b.history) > 0 {
		return gofakes3.ResourceError(gofakes3.ErrBucketNotEmpty, name)
	}
	delete(s.buckets, name)
	return nil
}

func (s *store) ForceDeleteBucket(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.buckets, name)
	return nil
}

// open returns an object in the form of gofakes3.
func (s *store) open(bucketName, key string, rng *gofakes3.ObjectRangeRequest) (*gofakes3.Object, error) {
	if s.region(bucketName) == "" {
		return nil, gofakes3.BucketNotFound(bucketName)
	}
	key, version, _ := strings.Cut(key, versionMark)
	o, err := s.findVersion(bucketName, key, version)
	if err != nil {
		return nil, err
	}
	part, err := rng.Range(o.size)
	if err != nil {
		return nil, err
	}
	body := o.contents(key)
	if part != nil {
		body = body[part.Start : part.Start+part.Length]
	}
	header := maps.Clone(o.header)
	header["Last-Modified"] = o.modified.UTC().Format(http.TimeFormat)
	header[etagHeader] = o.etag()
	return &gofakes3.Object{
		Name:      key,
		Metadata:  header,
		Size:      o.size,
		Contents:  io.NopCloser(bytes.NewReader(body)),
		Range:     part,
		VersionID: gofakes3.VersionID(o.version),
	}, nil
}

func (s *store) GetObject(bucketName, key string, rng *gofakes3.ObjectRangeRequest) (*gofakes3.Object, error) {
	return s.open(bucketName, key, rng)
}

func (s *store) HeadObject(bucketName, key string) (*gofakes3.Object, error) {
	return s.open(bucketName, key, nil)
}

func (s *store) PutObject(bucketName, key string, meta map[string]string, input io.Reader, size int64, conditions *gofakes3.PutConditions) (gofakes3.PutObjectResult, error) {
	body := make([]byte, size)
	if _, err := io.ReadFull(input, body); err != nil {
		return gofakes3.PutObjectResult{}, gofakes3.ErrIncompleteBody
	}
	// gofakes3 computes the ETag of the answer at the end of the reader.
	if n, err := input.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		return gofakes3.PutObjectResult{}, gofakes3.ErrIncompleteBody
	}
	o := s.newObject(body, s.objectHeader(meta))
	err := s.replace(bucketName, key, o, conditions)
	return gofakes3.PutObjectResult{VersionID: gofakes3.VersionID(o.version)}, err
}

// replace stores an object if the conditions hold.
func (s *store) replace(bucketName, key string, o *object, conditions *gofakes3.PutConditions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.bucket(bucketName)
	if err != nil {
		return err
	}
	return s.put(b, key, o, conditions)
}

// put is replace for a caller that holds the lock.
func (s *store) put(b *bucket, key string, o *object, conditions *gofakes3.PutConditions) error {
	old := b.objects[key]
	if err := s.check(key, old, conditions); err != nil {
		return err
	}
	s.add(b, key, o)
	b.objects[key] = o
	if old == nil {
		b.keys.insert(key)
	}
	return nil
}

// check fails unless the conditions of a write hold for the object.
func (s *store) check(key string, old *object, c *gofakes3.PutConditions) error {
	switch {
	case c == nil:
	case c.IfNoneMatch != nil && old != nil:
		return gofakes3.ErrorMessage(gofakes3.ErrPreconditionFailed, errPrecondition.Message)
	case c.IfMatch == nil:
	case old == nil:
		return gofakes3.KeyNotFound(key) // as S3 does
	case s.opts.UnquotedIfMatch && strings.HasPrefix(*c.IfMatch, `"`),
		strings.Trim(*c.IfMatch, `"`) != strings.Trim(old.etag(), `"`) && *c.IfMatch != "*":
		return gofakes3.ErrorMessage(gofakes3.ErrPreconditionFailed, errPrecondition.Message)
	}
	return nil
}

func (s *store) CopyObject(_, _, _, _ string, _ map[string]string) (gofakes3.CopyObjectResult, error) {
	return gofakes3.CopyObjectResult{}, gofakes3.ErrNotImplemented // this package answers
}

func (s *store) DeleteObject(_, _ string) (gofakes3.ObjectDeleteResult, error) {
	return gofakes3.ObjectDeleteResult{}, gofakes3.ErrNotImplemented // this package answers
}

func (s *store) DeleteMulti(_ string, _ ...string) (gofakes3.MultiDeleteResult, error) {
	return gofakes3.MultiDeleteResult{}, gofakes3.ErrNotImplemented // this package answers
}

// groupEnd sorts after all keys that begin with the text before it.
const groupEnd = "\xff"

func (s *store) ListBucket(name string, prefix *gofakes3.Prefix, page gofakes3.ListBucketPage) (*gofakes3.ObjectList, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, err := s.bucket(name)
	if err != nil {
		return nil, err
	}
	limit := s.opts.PageSize
	if page.MaxKeys > 0 {
		limit = min(limit, int(page.MaxKeys))
	}
	list := gofakes3.NewObjectList()
	last := page.Marker // key or group of the page
	for n := 0; ; n++ {
		key, ok := b.keys.next(max(last, prefix.Prefix), last)
		if !ok || !strings.HasPrefix(key, prefix.Prefix) {
			return list, nil
		}
		if n == limit {
			list.IsTruncated, list.NextMarker = true, last
			return list, nil
		}
		if group, ok := commonPrefix(key, prefix); ok {
			list.AddPrefix(group)
			last = group + groupEnd
			continue
		}
		o := b.objects[key]
		list.Add(&gofakes3.Content{Key: key, LastModified: gofakes3.NewContentTime(o.modified), ETag: o.etag(), Size: o.size})
		last = key
	}
}

// commonPrefix returns the prefix that the delimiter rolls the key up to.
func commonPrefix(key string, p *gofakes3.Prefix) (string, bool) {
	if p.Delimiter == "" {
		return "", false
	}
	head, _, ok := strings.Cut(key[len(p.Prefix):], p.Delimiter)
	return p.Prefix + head + p.Delimiter, ok
}

// multipartSum is the sum in the ETag of an object that was stored in parts.
func multipartSum(parts []*part) [md5.Size]byte {
	h := md5.New()
	for _, p := range parts {
		h.Write(p.md5[:])
	}
	return [md5.Size]byte(h.Sum(nil))
}
