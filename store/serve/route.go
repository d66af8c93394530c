package serve

import (
	"net/url"
	"strings"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/layout"
)

// target is what a request is about.
type target struct {
	kind layout.Kind
	key  string

	// ref is the key with the query of the request, which caches on other web
	// servers may need.
	ref string
}

// route returns what the path of a URL names. Only keys of a cache's objects
// are targets: everything else is layout.Other.
func route(u *url.URL) target {
	escaped := strings.ToLower(u.EscapedPath())
	for _, hidden := range []string{"%2f", "%5c", "%00", "%25"} {
		if strings.Contains(escaped, hidden) {
			return target{}
		}
	}
	key, ok := strings.CutPrefix(u.Path, "/")
	if !ok || blob.ValidateKey(key) != nil || strings.ContainsFunc(key, isControl) {
		return target{}
	}
	kind := layout.KindOf(key)
	if kind == layout.Control || kind == layout.Other {
		return target{}
	}
	t := target{kind: kind, key: key, ref: key}
	if kind == layout.Archive && u.RawQuery != "" {
		t.ref = (&url.URL{Path: key, RawQuery: u.RawQuery}).String()
	}
	return t
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }
