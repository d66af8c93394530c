// Package naming gives errors the names of what they are about, each once. Most
// errors of a cache name their object or path already, some do not.
package naming

import "strings"

// Error returns an error whose text is "name: " and the text of err, or that of
// err alone if it contains id. An empty id is that of name. The result wraps
// err.
func Error(name, id string, err error) error {
	if id == "" {
		id = name
	}
	return &named{name, id, err}
}

type named struct {
	name, id string
	err      error
}

func (e *named) Error() string {
	text := e.err.Error()
	if strings.Contains(text, e.id) {
		return text
	}
	return e.name + ": " + text
}

func (e *named) Unwrap() error { return e.err }
