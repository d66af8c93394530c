package fakes3

import (
	"bytes"
	"cmp"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/johannesboyne/gofakes3"
)

// store is what the server remembers. It implements gofakes3.Backend and
// gofakes3.MultipartBackend.
type store struct {
	opts Options

	mu       sync.RWMutex
	buckets  map[string]*bucket
	uploadID int
}

type bucket struct {
	region  string
	created time.Time
	objects map[string]*object
	keys    []string // of objects, sorted; nil where that is to be done
	uploads map[gofakes3.UploadID]*upload
}

// object is never changed.
type object struct {
	body     []byte
	etag     string // with quotes
	modified time.Time
	header   map[string]string
}

var (
	_ gofakes3.Backend          = (*store)(nil)
	_ gofakes3.MultipartBackend = (*store)(nil)
)

func newStore(opts Options) *store {
	return &store{opts: opts, buckets: make(map[string]*bucket)}
}

// etagHeader carries an ETag that is not an MD5, which gofakes3 has no place
// for, from the store to the answer; cacheHeader carries Cache-Control, which
// gofakes3 drops, from the request to the store.
const (
	etagHeader  = "X-Amz-Fakes3-Etag"
	cacheHeader = "X-Amz-Fakes3-Cache-Control"
)

// objectHeader picks what S3 keeps of the headers of an upload.
func objectHeader(request map[string]string) map[string]string {
	kept := make(map[string]string)
	for name, value := range request {
		switch {
		case name == "Content-Type", name == "Content-Encoding", name == "Content-Disposition",
			name == "X-Amz-Storage-Class", name == "X-Amz-Checksum-Type",
			strings.HasPrefix(name, "X-Amz-Meta-"), strings.HasPrefix(name, "X-Amz-Server-Side-Encryption"),
			checksums[strings.TrimPrefix(name, checksumPrefix)] != nil:
			kept[name] = value
		case name == cacheHeader:
			kept["Cache-Control"] = value
		}
	}
	if kept["Content-Type"] == "" {
		kept["Content-Type"] = "binary/octet-stream"
	}
	return kept
}

func (s *store) bucket(name string) (*bucket, error) {
	if b := s.buckets[name]; b != nil {
		return b, nil
	}
	return nil, gofakes3.BucketNotFound(name)
}

// find returns an object, nil where there is none.
func (s *store) find(bucketName, key string) *object {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if b := s.buckets[bucketName]; b != nil {
		return b.objects[key]
	}
	return nil
}

// region returns where a bucket is, "" where there is none.
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
	s.buckets[name] = &bucket{
		region:  cmp.Or(region, s.opts.Region),
		created: s.opts.Now(),
		objects: make(map[string]*object),
		uploads: make(map[gofakes3.UploadID]*upload),
	}
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
	if len(b.objects) > 0 {
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

// open makes what gofakes3 answers an object with.
func (s *store) open(bucketName, key string, rng *gofakes3.ObjectRangeRequest) (*gofakes3.Object, error) {
	if s.region(bucketName) == "" {
		return nil, gofakes3.BucketNotFound(bucketName)
	}
	o := s.find(bucketName, key)
	if o == nil {
		return nil, gofakes3.KeyNotFound(key)
	}
	part, err := rng.Range(int64(len(o.body)))
	if err != nil {
		return nil, err
	}
	body := o.body
	if part != nil {
		body = body[part.Start : part.Start+part.Length]
	}
	header := maps.Clone(o.header)
	header["Last-Modified"] = o.modified.UTC().Format(http.TimeFormat)
	header[etagHeader] = o.etag
	return &gofakes3.Object{
		Name:     key,
		Metadata: header,
		Size:     int64(len(o.body)),
		Contents: io.NopCloser(bytes.NewReader(body)),
		Range:    part,
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
	// To the end, where the reader hashes what the answer's ETag is.
	if n, err := input.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		return gofakes3.PutObjectResult{}, gofakes3.ErrIncompleteBody
	}
	sum := md5.Sum(body)
	o := &object{body: body, etag: gofakes3.FormatETag(sum[:]), modified: s.opts.Now(), header: objectHeader(meta)}
	return gofakes3.PutObjectResult{}, s.replace(bucketName, key, o, conditions)
}

// replace stores an object where the conditions hold.
func (s *store) replace(bucketName, key string, o *object, conditions *gofakes3.PutConditions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.bucket(bucketName)
	if err != nil {
		return err
	}
	return b.replace(key, o, conditions)
}

func (b *bucket) replace(key string, o *object, conditions *gofakes3.PutConditions) error {
	old := b.objects[key]
	if c := conditions; c != nil {
		if c.IfNoneMatch != nil && old != nil {
			return gofakes3.ErrorMessage(gofakes3.ErrPreconditionFailed, errPrecondition.Message)
		}
		if c.IfMatch != nil && old == nil {
			return gofakes3.KeyNotFound(key) // as S3 does
		}
		if c.IfMatch != nil && strings.Trim(*c.IfMatch, `"`) != strings.Trim(old.etag, `"`) {
			return gofakes3.ErrorMessage(gofakes3.ErrPreconditionFailed, errPrecondition.Message)
		}
	}
	if old == nil {
		b.keys = nil
	}
	b.objects[key] = o
	return nil
}

func (s *store) CopyObject(_, _, _, _ string, _ map[string]string) (gofakes3.CopyObjectResult, error) {
	return gofakes3.CopyObjectResult{}, gofakes3.ErrNotImplemented // done in front
}

func (s *store) DeleteObject(bucketName, key string) (gofakes3.ObjectDeleteResult, error) {
	_, err := s.DeleteMulti(bucketName, key)
	return gofakes3.ObjectDeleteResult{}, err
}

func (s *store) DeleteMulti(bucketName string, keys ...string) (gofakes3.MultiDeleteResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var result gofakes3.MultiDeleteResult
	b, err := s.bucket(bucketName)
	if err != nil {
		return result, err
	}
	for _, key := range keys {
		if b.objects[key] != nil {
			delete(b.objects, key)
			b.keys = nil
		}
		result.Deleted = append(result.Deleted, gofakes3.ObjectID{Key: key})
	}
	return result, nil
}

// sorted returns the keys of a bucket in their order. The slice is not changed
// any more.
func (s *store) sorted(b *bucket) []string {
	if b.keys == nil {
		b.keys = slices.Sorted(maps.Keys(b.objects))
	}
	return b.keys
}

// groupEnd sorts behind all keys that begin with what stands before it.
const groupEnd = "\xff"

func (s *store) ListBucket(name string, prefix *gofakes3.Prefix, page gofakes3.ListBucketPage) (*gofakes3.ObjectList, error) {
	s.mu.Lock() // sorted may sort
	defer s.mu.Unlock()
	b, err := s.bucket(name)
	if err != nil {
		return nil, err
	}
	limit := s.opts.PageSize
	if page.MaxKeys > 0 {
		limit = min(limit, int(page.MaxKeys))
	}
	keys := s.sorted(b)
	list := gofakes3.NewObjectList()
	last := "" // what the page ends with
	i := sort.Search(len(keys), func(i int) bool { return keys[i] > page.Marker && keys[i] >= prefix.Prefix })
	for n := 0; i < len(keys) && strings.HasPrefix(keys[i], prefix.Prefix); n++ {
		if n == limit {
			list.IsTruncated, list.NextMarker = true, last
			break
		}
		key := keys[i]
		if group, ok := commonPrefix(key, prefix); ok {
			list.AddPrefix(group)
			last = group + groupEnd
			i += sort.Search(len(keys)-i, func(j int) bool { return keys[i+j] > last })
			continue
		}
		o := b.objects[key]
		list.Add(&gofakes3.Content{Key: key, LastModified: gofakes3.NewContentTime(o.modified), ETag: o.etag, Size: int64(len(o.body))})
		last = key
		i++
	}
	return list, nil
}

// commonPrefix returns what key is rolled up to by the delimiter.
func commonPrefix(key string, p *gofakes3.Prefix) (string, bool) {
	if p.Delimiter == "" {
		return "", false
	}
	head, _, ok := strings.Cut(key[len(p.Prefix):], p.Delimiter)
	return p.Prefix + head + p.Delimiter, ok
}

// multipartETag is the ETag of an object that was stored in parts.
func multipartETag(parts []*part) string {
	h := md5.New()
	for _, p := range parts {
		h.Write(p.md5[:])
	}
	return fmt.Sprintf(`"%s-%d"`, hex.EncodeToString(h.Sum(nil)), len(parts))
}
