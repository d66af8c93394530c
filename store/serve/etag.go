package serve

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"

	"example.com/nixs3/store/blob"
)

// storedETag returns a strong, quoted ETag of a stored object. It is the
// bucket's own where that is strong, so that it is the same through the gateway
// and past it. An archive's key never gets other contents, so a bucket without
// strong ETags gets one of the key and the size.
func storedETag(a blob.Attrs) string {
	if tag := a.ETag; validETag(tag) {
		return tag
	}
	if tag := `"` + a.ETag + `"`; a.ETag != "" && validETag(tag) {
		return tag
	}
	return fmt.Sprintf(`"%s-%x-%x"`, path.Base(a.Key), a.Size, a.ModTime.UnixNano())
}

// validETag reports whether a text is a strong entity tag (RFC 9110, section
// 8.8.3).
func validETag(tag string) bool {
	if len(tag) < 3 || tag[0] != '"' || tag[len(tag)-1] != '"' {
		return false
	}
	for _, c := range []byte(tag[1 : len(tag)-1]) {
		if c < 0x21 || c == '"' || c >= 0x7f {
			return false
		}
	}
	return true
}

// contentETag is the ETag of bytes that the gateway has whole.
func contentETag(data []byte) string {
	sum := sha256.Sum256(data)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
}

// notModified reports whether the client has the entity (RFC 9110, section
// 13.2.2).
func notModified(h http.Header, etag string, modTime time.Time) bool {
	if match := h.Values("If-None-Match"); len(match) > 0 {
		return matchesETag(strings.Join(match, ","), etag)
	}
	since, err := http.ParseTime(h.Get("If-Modified-Since"))
	return err == nil && !modTime.IsZero() && !modTime.Truncate(time.Second).After(since)
}

// failsPrecondition reports whether If-Match or If-Unmodified-Since does not
// hold.
func failsPrecondition(h http.Header, etag string, modTime time.Time) bool {
	if match := h.Values("If-Match"); len(match) > 0 {
		for tag := range strings.SplitSeq(strings.Join(match, ","), ",") {
			if tag = strings.TrimSpace(tag); tag == "*" || tag == etag {
				return false
			}
		}
		return true
	}
	since, err := http.ParseTime(h.Get("If-Unmodified-Since"))
	return err == nil && !modTime.IsZero() && modTime.Truncate(time.Second).After(since)
}

// matchesETag compares weakly, as If-None-Match does.
func matchesETag(list, etag string) bool {
	for tag := range strings.SplitSeq(list, ",") {
		tag = strings.TrimSpace(tag)
		if tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
			return true
		}
	}
	return false
}

// rangeHolds reports whether If-Range lets the Range of a request count.
func rangeHolds(h http.Header, etag string, modTime time.Time) bool {
	value := h.Get("If-Range")
	if value == "" || value == etag {
		return true
	}
	at, err := http.ParseTime(value)
	return err == nil && !modTime.IsZero() && modTime.Truncate(time.Second).Equal(at)
}
