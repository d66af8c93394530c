package nar

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// ErrNotUTF8 reports a name or link target that is not UTF-8, and so cannot be in
// a listing as JSON. Such a NAR is stored without a listing.
var ErrNotUTF8 = errors.New("nar: not UTF-8, which a listing as JSON needs")

// MarshalJSON returns the listing as Nix writes it. It fails with an error that
// wraps [ErrNotUTF8] if a name or target is not UTF-8.
func (l *Listing) MarshalJSON() ([]byte, error) {
	if l.Root == nil {
		return nil, errors.New("nar: empty listing")
	}
	b := append([]byte(nil), `{"version":1,"root":`...)
	b, err := l.Root.appendJSON(b, 0)
	if err != nil {
		return nil, err
	}
	return append(b, '}'), nil
}

func (n *Node) appendJSON(b []byte, depth int) ([]byte, error) {
	if depth >= maxDepth {
		return nil, fmt.Errorf("nar: listing nested deeper than %d", maxDepth-1)
	}
	var err error
	switch n.Type {
	case TypeRegular:
		b = append(b, `{"type":"regular","size":`...)
		b = strconv.AppendInt(b, n.Size, 10)
		if n.Executable {
			b = append(b, `,"executable":true`...)
		}
		if n.ContentOffset != 0 {
			b = append(b, `,"narOffset":`...)
			b = strconv.AppendInt(b, n.ContentOffset, 10)
		}
	case TypeSymlink:
		b = append(b, `{"type":"symlink","target":`...)
		if b, err = appendJSONString(b, n.LinkTarget); err != nil {
			return nil, err
		}
	case TypeDirectory:
		b = append(b, `{"type":"directory","entries":{`...)
		for i, e := range n.Entries {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = appendJSONString(b, e.Name); err != nil {
				return nil, err
			}
			b = append(b, ':')
			if b, err = e.appendJSON(b, depth+1); err != nil {
				return nil, err
			}
		}
		b = append(b, '}')
	default:
		return nil, fmt.Errorf("nar: listing has %q of unknown type %v", n.Name, n.Type)
	}
	return append(b, '}'), nil
}

// appendJSONString escapes the characters that Nix escapes, in the same way.
func appendJSONString(b []byte, s string) ([]byte, error) {
	if !utf8.ValidString(s) {
		return nil, fmt.Errorf("%w: %s", ErrNotUTF8, quote(s))
	}
	b = append(b, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\r':
			b = append(b, '\\', 'r')
		case c == '\t':
			b = append(b, '\\', 't')
		case c < ' ':
			const hex = "0123456789abcdef"
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"'), nil
}
