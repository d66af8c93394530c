package fakes3

import (
	"bytes"
	"net/http"
	"strings"
)

// response is an answer that the server changes, counts and breaks on its way.
type response struct {
	w http.ResponseWriter
	r *http.Request

	ifMatch string                    // ETag that the object must have
	limit   int64                     // bytes of the body before cut, negative for none
	cut     func(http.ResponseWriter) // ends the connection
	lost    bool                      // nothing is sent

	status  int
	code    string
	sent    int64
	replace bool // the handler's body is replaced
}

func (w *response) Header() http.Header { return w.w.Header() }

func (w *response) WriteHeader(status int) {
	if w.status != 0 {
		return
	}
	h := w.Header()
	if etag := h.Get(etagHeader); etag != "" {
		h.Set("ETag", etag)
	}
	h.Del(etagHeader)
	dropChecksums(h, w.r, status)
	if w.ifMatch != "" && status < 300 && w.ifMatch != "*" && strings.Trim(w.ifMatch, `"`) != strings.Trim(h.Get("ETag"), `"`) {
		w.replace = true
		for _, name := range []string{"Content-Length", "Content-Range", "Content-Type", "Content-Encoding", "ETag", "Last-Modified", "Accept-Ranges", "Cache-Control"} {
			h.Del(name)
		}
		w.begin(errPrecondition.status)
		w.code = errPrecondition.Code
		if w.r.Method != http.MethodHead {
			var body bytes.Buffer
			writeXML(&body, errPrecondition)
			w.send(body.Bytes())
		}
		return
	}
	w.begin(status)
}

func (w *response) begin(status int) {
	w.status = status
	if !w.lost {
		w.w.WriteHeader(status)
	}
}

func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.replace {
		return len(p), nil
	}
	if w.status >= 300 && w.code == "" {
		w.code = errorCode(p)
	}
	return w.send(p)
}

// send sends up to the limit, and breaks the connection after it.
func (w *response) send(p []byte) (int, error) {
	if w.lost {
		return len(p), nil
	}
	if w.limit >= 0 && w.sent+int64(len(p)) > w.limit {
		n, _ := w.w.Write(p[:w.limit-w.sent])
		w.sent += int64(n)
		http.NewResponseController(w.w).Flush()
		w.cut(w.w)
	}
	n, err := w.w.Write(p)
	w.sent += int64(n)
	return n, err
}

// finish ends an answer that has no body.
func (w *response) finish() {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
}

// errorCode returns the code in an error that gofakes3 wrote.
func errorCode(body []byte) string {
	_, rest, ok := bytes.Cut(body, []byte("<Code>"))
	if !ok {
		return ""
	}
	code, _, _ := bytes.Cut(rest, []byte("</Code>"))
	return string(code)
}
