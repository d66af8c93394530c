package fakes3

import (
	"bytes"
	"crypto/md5"
	"iter"
	"net/http"
	"slices"
)

// Object is a stored object.
type Object struct {
	Body   []byte // not to be changed
	ETag   string
	Header http.Header // Content-Type, Cache-Control, X-Amz-Storage-Class and so on
}

// AddBucket makes a bucket in a region, which may differ from the server's.
func (s *Server) AddBucket(name, region string) error {
	return s.store.addBucket(name, region)
}

// Object returns an object, without a permission check.
func (s *Server) Object(bucket, key string) (Object, bool) {
	o := s.store.find(bucket, key)
	if o == nil {
		return Object{}, false
	}
	header := make(http.Header)
	for name, value := range o.header {
		header.Set(name, value)
	}
	return Object{Body: o.contents(key), ETag: o.etag(), Header: header}, true
}

// PutObject stores or replaces an object, without a permission check.
func (s *Server) PutObject(bucket, key string, body []byte, header http.Header) error {
	request := make(map[string]string)
	for name := range header {
		request[name] = header.Get(name)
		if name == "Cache-Control" {
			request[cacheHeader] = header.Get(name)
		}
	}
	o := s.store.newObject(bytes.Clone(body), s.store.objectHeader(request))
	return s.store.replace(bucket, key, o, nil)
}

// PutGenerated stores objects, given by key and size, without a permission check.
// Their bodies are not kept: body computes one with every read, from
// several goroutines at once, and must return the same bytes of that size for a
// key each time. The ETag depends on the key alone. An object takes about
// 230 bytes.
func (s *Server) PutGenerated(bucket string, objects iter.Seq2[string, int64], body func(key string) []byte) error {
	header := s.store.objectHeader(nil)
	now := s.opts.Now()
	for key, size := range objects {
		o := &object{generate: body, size: size, sum: md5.Sum([]byte(key)), parts: 1, modified: now, header: header}
		if err := s.store.replace(bucket, key, o, nil); err != nil {
			return err
		}
	}
	return nil
}

// DeleteObject removes an object, without a permission check.
func (s *Server) DeleteObject(bucket, key string) error {
	_, err := s.store.remove(bucket, key, "", nil)
	return err
}

// Keys returns the keys of a bucket in byte order.
func (s *Server) Keys(bucket string) []string {
	s.store.mu.RLock()
	defer s.store.mu.RUnlock()
	b := s.store.buckets[bucket]
	if b == nil {
		return nil
	}
	return slices.Concat(b.keys.blocks...)
}

// Uploads returns the keys of the multipart uploads in a bucket that are
// neither completed nor aborted.
func (s *Server) Uploads(bucket string) []string {
	s.store.mu.RLock()
	defer s.store.mu.RUnlock()
	b := s.store.buckets[bucket]
	if b == nil {
		return nil
	}
	var keys []string
	for _, u := range b.sortedUploads() {
		keys = append(keys, u.key)
	}
	return keys
}
