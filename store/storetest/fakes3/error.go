package fakes3

import (
	"encoding/xml"
	"io"
	"net/http"
	"strconv"
	"time"
)

// apiError is an error answer of S3.
type apiError struct {
	XMLName xml.Name `xml:"Error"`
	Code    string
	Message string
	Region  string `xml:",omitempty"`
	Key     string `xml:",omitempty"`

	status     int
	header     http.Header
	retryAfter time.Duration
}

func (e *apiError) Error() string { return e.Code + ": " + e.Message }

func newError(status int, code, message string) *apiError {
	return &apiError{Code: code, Message: message, status: status}
}

var (
	errAccessDenied   = newError(http.StatusForbidden, "AccessDenied", "Access Denied")
	errSlowDown       = newError(http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate.")
	errNoSuchBucket   = newError(http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist")
	errPrecondition   = newError(http.StatusPreconditionFailed, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
	errNotImplemented = newError(http.StatusNotImplemented, "NotImplemented", "A header or query you provided implies functionality that is not implemented.")
	errMalformedXML   = newError(http.StatusBadRequest, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema")
)

// write answers with the error.
func (e *apiError) write(w http.ResponseWriter, r *http.Request) {
	for name, values := range e.header {
		w.Header()[name] = values
	}
	if e.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(e.retryAfter.Round(time.Second)/time.Second)))
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(e.status)
	if r.Method != http.MethodHead {
		writeXML(w, e)
	}
}

// writeXML writes a document. The client notices if it is incomplete.
func writeXML(w io.Writer, document any) {
	body, err := xml.Marshal(document)
	if err != nil {
		panic(err) // the types are ours
	}
	io.WriteString(w, xml.Header+string(body))
}
