package resume

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"example.com/nixs3/store/blob"
)

// RangeHeader returns the Range header for a part of an object, "" for the
// whole.
func RangeHeader(offset, length int64) string {
	switch {
	case length > 0:
		return "bytes=" + strconv.FormatInt(offset, 10) + "-" + strconv.FormatInt(offset+length-1, 10)
	case offset > 0:
		return "bytes=" + strconv.FormatInt(offset, 10) + "-"
	}
	return ""
}

// ParseContentRange reads a Content-Range header, "bytes first-last/size".
// Nothing else is accepted: no unknown size, signs, blanks or other units.
func ParseContentRange(s string) (first, last, size int64, err error) {
	fail := func() (int64, int64, int64, error) {
		return 0, 0, 0, fmt.Errorf("malformed Content-Range %q", s)
	}
	rest, ok := strings.CutPrefix(s, "bytes ")
	span, total, ok2 := strings.Cut(rest, "/")
	a, z, ok3 := strings.Cut(span, "-")
	if !ok || !ok2 || !ok3 {
		return fail()
	}
	for _, field := range []struct {
		text string
		into *int64
	}{{a, &first}, {z, &last}, {total, &size}} {
		n, err := strconv.ParseUint(field.text, 10, 63)
		if err != nil {
			return fail()
		}
		*field.into = int64(n)
	}
	if first > last || last >= size {
		return fail()
	}
	return first, last, size, nil
}

// Place sets Offset, Length and Size of obj from an answer to the options: the
// whole object for a status of 200, and for 206 exactly the part that was asked
// for. Length and Size are -1 where contentLength is.
func Place(obj *blob.Object, status int, contentRange string, contentLength int64, opts blob.GetOptions) error {
	asked := RangeHeader(opts.Offset, opts.Length)
	switch {
	case status == http.StatusOK:
		obj.Offset, obj.Length, obj.Size = 0, contentLength, contentLength
		return nil
	case status != http.StatusPartialContent:
		return fmt.Errorf("unexpected answer %d %s", status, http.StatusText(status))
	case asked == "":
		return fmt.Errorf("expected the whole object, got %q", contentRange)
	}
	first, last, size, err := ParseContentRange(contentRange)
	if err != nil {
		return err
	}
	_, length, err := opts.Range(size)
	if err != nil || first != opts.Offset || last-first+1 != length || contentLength >= 0 && contentLength != length {
		return fmt.Errorf("expected %s, got %q with %d bytes", asked, contentRange, contentLength)
	}
	obj.Offset, obj.Length, obj.Size = first, length, size
	return nil
}
