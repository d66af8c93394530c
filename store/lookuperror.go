package store

import (
	"fmt"
	"strings"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/blob"
)

// lookupError is a path whose description cannot be read from the source of a
// copy. Its text names the path once.
type lookupError struct {
	src     *copySource
	p, user storepath.Path // user is the path that refers to p, zero for a root
	err     error
}

func (e *lookupError) Error() string {
	text := e.err.Error()
	if b, ok := e.err.(*blob.Error); ok { // it names the narinfo and the bucket
		reason := *b
		reason.Key, reason.Bucket = "", ""
		text = strings.TrimPrefix(reason.Error(), b.Op+": ")
	}
	dir := e.src.StoreDir()
	named := strings.Contains(text, e.p.HashPart())
	switch {
	case e.user.IsZero() && named:
		return text
	case e.user.IsZero():
		return fmt.Sprintf("%s in %s: %s", dir.Join(e.p), e.src, text)
	case named:
		return fmt.Sprintf("%s; %s refers to it", text, dir.Join(e.user))
	}
	return fmt.Sprintf("%s, a reference of %s, in %s: %s", dir.Join(e.p), dir.Join(e.user), e.src, text)
}

func (e *lookupError) Unwrap() error { return e.err }
