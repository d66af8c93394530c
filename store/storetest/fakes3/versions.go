package fakes3

import (
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/johannesboyne/gofakes3"
)

// nullVersion is the version of every object of a bucket that keeps none.
const nullVersion = "null"

// versionMark separates key and version in the path of a request that gofakes3
// gets. No key has a NUL.
const versionMark = "\x00"

// selectVersion makes gofakes3 ask the store for a version of the object.
func selectVersion(r *http.Request, version string) {
	q := r.URL.Query()
	q.Del("versionId")
	r.URL.RawQuery = q.Encode()
	r.URL.Path += versionMark + version
	r.URL.RawPath = ""
}

// setVersion sets the headers that name a version.
func setVersion(w http.ResponseWriter, o *object) {
	if o.version != "" {
		w.Header().Set("X-Amz-Version-Id", o.version)
	}
	if o.marker {
		w.Header().Set("X-Amz-Delete-Marker", "true")
	}
}

// add makes an object the newest version of its key, if the bucket keeps
// versions. The caller holds the lock.
func (s *store) add(b *bucket, key string, o *object) {
	if b.history == nil {
		return
	}
	s.versions++
	o.version = fmt.Sprintf("v%06d.%s", s.versions, "x/=") // as awkward in a query as those of others
	b.history[key] = slices.Insert(b.history[key], 0, o)
}

// version returns a version of an object, nil if there is none. The caller holds
// the lock.
func (b *bucket) version(key, version string) *object {
	if b.history == nil && version == nullVersion {
		return b.objects[key]
	}
	for _, o := range b.history[key] {
		if o.version == version {
			return o
		}
	}
	return nil
}

// removeVersion removes a version permanently and returns it, nil if there is
// none. The version before it becomes the current one. The caller holds the
// lock.
func (b *bucket) removeVersion(key, version string) *object {
	gone := b.version(key, version)
	if gone == nil {
		return nil
	}
	left := slices.DeleteFunc(b.history[key], func(o *object) bool { return o == gone })
	b.history[key] = left
	if len(left) == 0 {
		delete(b.history, key)
	}
	if len(left) == 0 || left[0].marker {
		delete(b.objects, key)
		b.keys.remove(key)
		return gone
	}
	b.objects[key] = left[0]
	b.keys.insert(key)
	return gone
}

// findVersion returns a version of an object, the current one for "".
func (s *store) findVersion(bucketName, key, version string) (*object, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, err := s.bucket(bucketName)
	if err != nil {
		return nil, err
	}
	if version == "" {
		if o := b.objects[key]; o != nil {
			return o, nil
		}
		return nil, gofakes3.KeyNotFound(key)
	}
	o := b.version(key, version)
	switch {
	case o == nil:
		return nil, gofakes3.ErrNoSuchVersion
	case o.marker:
		return nil, gofakes3.ErrMethodNotAllowed
	}
	return o, nil
}

// bucketVersioning answers GetBucketVersioning.
func (s *Server) bucketVersioning(w http.ResponseWriter) error {
	var out struct {
		XMLName xml.Name `xml:"VersioningConfiguration"`
		Status  string   `xml:",omitempty"`
	}
	if s.opts.Versioned {
		out.Status = "Enabled"
	}
	w.Header().Set("Content-Type", "application/xml")
	writeXML(w, out)
	return nil
}

// listedVersion is an entry of the answer to ListObjectVersions.
type listedVersion struct {
	Key          string
	VersionID    string `xml:"VersionId"`
	IsLatest     bool
	LastModified gofakes3.ContentTime
	ETag         string `xml:",omitempty"`
	Size         int64
}

// listVersions answers ListObjectVersions: all versions of the keys with a
// prefix after key-marker, whole keys at a time.
func (s *Server) listVersions(w http.ResponseWriter, req *Request) error {
	prefix, after := req.Query.Get("prefix"), req.Query.Get("key-marker")
	var out struct {
		XMLName             xml.Name `xml:"ListVersionsResult"`
		IsTruncated         bool
		NextKeyMarker       string          `xml:",omitempty"`
		NextVersionIDMarker string          `xml:"NextVersionIdMarker,omitempty"`
		Versions            []listedVersion `xml:"Version"`
		DeleteMarkers       []listedVersion `xml:"DeleteMarker"`
	}
	s.store.mu.RLock()
	defer s.store.mu.RUnlock()
	b, err := s.store.bucket(req.Bucket)
	if err != nil {
		return err
	}
	versions := func(key string) []*object { return b.history[key] }
	keys := slices.Sorted(maps.Keys(b.history))
	if b.history == nil {
		keys = slices.Concat(b.keys.blocks...)
		versions = func(key string) []*object { return []*object{b.objects[key]} }
	}
	for _, key := range keys {
		if key <= after || !strings.HasPrefix(key, prefix) {
			continue
		}
		if len(out.Versions)+len(out.DeleteMarkers) >= s.opts.PageSize {
			out.IsTruncated = true
			break
		}
		for i, o := range versions(key) {
			entry := listedVersion{Key: key, VersionID: o.version, IsLatest: i == 0, LastModified: gofakes3.NewContentTime(o.modified)}
			if entry.VersionID == "" {
				entry.VersionID = nullVersion
			}
			if o.marker {
				out.DeleteMarkers = append(out.DeleteMarkers, entry)
			} else {
				entry.ETag, entry.Size = o.etag(), o.size
				out.Versions = append(out.Versions, entry)
			}
			out.NextKeyMarker, out.NextVersionIDMarker = key, entry.VersionID
		}
	}
	if !out.IsTruncated {
		out.NextKeyMarker, out.NextVersionIDMarker = "", ""
	}
	w.Header().Set("Content-Type", "application/xml")
	writeXML(w, out)
	return nil
}
