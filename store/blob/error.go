package blob

import (
	"strconv"
	"strings"
)

// Error is a failed operation on a bucket: the operation, the place, the
// server's answer and, for frequent failures, a remedy.
type Error struct {
	Op        string // "Get", "Head", "Put", "Delete", "List", "Copy", …
	Bucket    string // Bucket.String() or the bucket's name
	Key       string // empty where the operation has none
	Endpoint  string // host of the server, empty where there is none
	Status    int    // HTTP status, 0 where there was no answer
	Code      string // the server's own name for the failure
	RequestID string
	Hint      string // a remedy, empty where none is known
	Err       error  // one of the sentinels, or the cause
}

// Error returns one line with all fields that are set.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Key != "" {
		b.WriteByte(' ')
		b.WriteString(strconv.Quote(e.Key))
	}
	if e.Bucket != "" {
		b.WriteString(" in ")
		b.WriteString(e.Bucket)
	}
	b.WriteString(": ")
	b.WriteString(e.Err.Error())
	if detail := e.detail(); detail != "" {
		b.WriteString(" (")
		b.WriteString(detail)
		b.WriteByte(')')
	}
	if e.Hint != "" {
		b.WriteString("; ")
		b.WriteString(e.Hint)
	}
	return b.String()
}

// Unwrap returns the sentinel or the cause.
func (e *Error) Unwrap() error { return e.Err }

func (e *Error) detail() string {
	var parts []string
	if e.Status != 0 {
		parts = append(parts, "HTTP "+strconv.Itoa(e.Status))
	}
	if e.Code != "" {
		parts = append(parts, e.Code)
	}
	if e.Endpoint != "" {
		parts = append(parts, "endpoint "+e.Endpoint)
	}
	if e.RequestID != "" {
		parts = append(parts, "request "+e.RequestID)
	}
	return strings.Join(parts, ", ")
}
