package fakes3

import (
	"encoding/xml"
	"net/http"

	"github.com/johannesboyne/gofakes3"
)

// remove removes an object, or one version of it, if the conditions hold. It
// returns the removed version or the new marker, nil if there is neither.
func (s *store) remove(bucketName, key, version string, conditions *gofakes3.PutConditions) (*object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.bucket(bucketName)
	if err != nil {
		return nil, err
	}
	old := b.objects[key]
	if version != "" {
		old = b.version(key, version)
	}
	if err := s.check(key, old, conditions); err != nil {
		return nil, err
	}
	if version != "" && b.history != nil {
		return b.removeVersion(key, version), nil
	}
	if b.objects[key] != nil && (version == "" || version == nullVersion) {
		delete(b.objects, key)
		b.keys.remove(key)
	}
	if b.history == nil {
		return nil, nil
	}
	marker := &object{marker: true, modified: s.opts.Now()}
	s.add(b, key, marker)
	return marker, nil
}

// deleteObject answers DeleteObject.
func (s *Server) deleteObject(w http.ResponseWriter, r *http.Request, req *Request) error {
	o, err := s.store.remove(req.Bucket, req.Key, req.Query.Get("versionId"), conditions(r.Header))
	if err != nil {
		return err
	}
	if o != nil {
		setVersion(w, o)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// deletedObject and failedDelete are entries of the answer to DeleteObjects.
type (
	deletedObject struct {
		Key                   string
		VersionID             string `xml:"VersionId,omitempty"`
		DeleteMarker          bool   `xml:",omitempty"`
		DeleteMarkerVersionID string `xml:"DeleteMarkerVersionId,omitempty"`
	}
	failedDelete struct {
		Key       string
		VersionID string `xml:"VersionId,omitempty"`
		Code      string
		Message   string
	}
)

// deleteObjects answers DeleteObjects.
func (s *Server) deleteObjects(w http.ResponseWriter, r *http.Request, req *Request) error {
	var in struct {
		Quiet   bool
		Objects []struct {
			Key       string
			VersionID string `xml:"VersionId"`
			ETag      *string
		} `xml:"Object"`
	}
	if err := xml.NewDecoder(r.Body).Decode(&in); err != nil || len(in.Objects) == 0 || len(in.Objects) > 1000 {
		return errMalformedXML
	}
	var out struct {
		XMLName xml.Name        `xml:"DeleteResult"`
		Deleted []deletedObject `xml:"Deleted"`
		Errors  []failedDelete  `xml:"Error"`
	}
	for _, entry := range in.Objects {
		var c *gofakes3.PutConditions
		if entry.ETag != nil {
			switch s.opts.conditionsOn("DeleteObjects") {
			case RefuseConditions:
				return errNotImplemented
			case HonourConditions:
				c = &gofakes3.PutConditions{IfMatch: entry.ETag}
			}
		}
		o, err := s.store.remove(req.Bucket, entry.Key, entry.VersionID, c)
		if err != nil {
			fail := asAPIError(err)
			out.Errors = append(out.Errors, failedDelete{entry.Key, entry.VersionID, fail.Code, fail.Message})
			continue
		}
		if in.Quiet {
			continue
		}
		done := deletedObject{Key: entry.Key, VersionID: entry.VersionID}
		if o != nil && o.marker {
			done.DeleteMarker, done.DeleteMarkerVersionID = true, o.version
		}
		out.Deleted = append(out.Deleted, done)
	}
	w.Header().Set("Content-Type", "application/xml")
	writeXML(w, out)
	return nil
}
