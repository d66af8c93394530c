package httpblob

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"

	"golang.org/x/net/http/httpguts"

	"example.com/nixs3/store/blob/internal/wire"
)

// headers returns a function that gives the headers to send: the fixed ones and
// those of the file in its current state. An empty name means no file.
func headers(fixed http.Header, file string) func() (http.Header, error) {
	fixed = fixed.Clone()
	if file == "" {
		return func() (http.Header, error) { return fixed, nil }
	}
	var mu sync.Mutex
	var seen wire.Version
	var current http.Header
	return func() (http.Header, error) {
		mu.Lock()
		defer mu.Unlock()
		now := wire.VersionOf(file)
		if now == seen && current != nil {
			return current, nil
		}
		fresh, err := readHeaders(file)
		if err != nil {
			return nil, err
		}
		maps.Copy(fresh, fixed)
		seen, current = now, fresh
		return current, nil
	}
}

// readHeaders reads a file of headers. Its errors name lines by number, since the
// lines hold secrets.
func readHeaders(file string) (http.Header, error) {
	text, err := readBounded(file)
	if err != nil {
		return nil, fmt.Errorf("header file: %w", err)
	}
	header := make(http.Header)
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, ": ") // with the blank, so that few other files pass for one
		value = strings.TrimSpace(value)
		if !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return nil, fmt.Errorf("header file %s: line %d is not a header", file, n)
		}
		header.Add(name, value)
	}
	return header, nil
}
