package nar

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// UnmarshalJSON reads a listing as any Nix writes it. Keys come in any order;
// unknown ones are ignored. Names, targets and nesting must follow the rules of
// NARs, numbers must not be negative, and [maxListingEntries] bounds the
// entries. The listing takes at most 12 times the memory of data. Whether sizes
// and offsets fit together is what [Listing.Validate] checks.
func (l *Listing) UnmarshalJSON(data []byte) error {
	root, err := parseListing(data)
	if err != nil {
		return fmt.Errorf("nar: listing: %w", err)
	}
	l.Root = root
	return nil
}

func parseListing(data []byte) (*Node, error) {
	if !utf8.Valid(data) {
		return nil, ErrNotUTF8
	}
	p := listingParser{dec: json.NewDecoder(bytes.NewReader(data))}
	p.dec.UseNumber()
	var root *Node
	version := ""
	err := p.object(func(key string) (err error) {
		switch key {
		case "version":
			version, err = p.number()
		case "root":
			root, err = p.node("", 0)
		default:
			err = p.skip()
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case version != "1":
		return nil, fmt.Errorf("expected version 1, got %q", version)
	case root == nil:
		return nil, errors.New("no root")
	}
	if _, err := p.dec.Token(); err != io.EOF {
		return nil, errors.New("expected nothing after the listing")
	}
	return root, nil
}

type listingParser struct {
	dec     *json.Decoder
	entries int
}

// node parses one file system object. It calls itself for entries, less than
// maxDepth deep.
func (p *listingParser) node(name string, depth int) (*Node, error) {
	if depth >= maxDepth {
		return nil, fmt.Errorf("%s is nested too deeply", quote(name))
	}
	if p.entries++; p.entries > maxListingEntries {
		return nil, fmt.Errorf("more than %d entries", maxListingEntries)
	}
	n := &Node{Name: name}
	var kind string
	entries, target := false, false
	err := p.object(func(key string) (err error) {
		switch key {
		case "type":
			kind, err = p.string()
		case "size":
			n.Size, err = p.count()
		case "executable":
			n.Executable, err = p.bool()
		case "narOffset":
			n.ContentOffset, err = p.count()
		case "target":
			target = true
			n.LinkTarget, err = p.string()
		case "entries":
			entries = true
			n.Entries, err = p.nodes(depth + 1)
		default:
			err = p.skip()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	switch kind {
	case tagRegular:
		n.Type = TypeRegular
	case tagDirectory:
		n.Type = TypeDirectory
	case tagSymlink:
		n.Type = TypeSymlink
	default:
		return nil, fmt.Errorf("%s has unknown type %s", quote(name), quote(kind))
	}
	if entries != (n.Type == TypeDirectory) {
		return nil, fmt.Errorf("%s: entries are for directories, and only for them", quote(name))
	}
	if target != (n.Type == TypeSymlink) {
		return nil, fmt.Errorf("%s: a target is for links, and only for them", quote(name))
	}
	if target {
		if err := checkTarget([]byte(n.LinkTarget)); err != nil {
			return nil, fmt.Errorf("%s: %w", quote(name), err)
		}
	}
	if n.Type != TypeRegular && (n.Size != 0 || n.ContentOffset != 0 || n.Executable) {
		return nil, fmt.Errorf("%s: size, narOffset and executable are for regular files only", quote(name))
	}
	return n, nil
}

// nodes parses the entries of a directory.
func (p *listingParser) nodes(depth int) ([]*Node, error) {
	var nodes []*Node
	err := p.object(func(name string) error {
		if err := checkName([]byte(name)); err != nil {
			return err
		}
		n, err := p.node(name, depth)
		nodes = append(nodes, n)
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(nodes, func(a, b *Node) int { return strings.Compare(a.Name, b.Name) })
	for i := 1; i < len(nodes); i++ {
		if nodes[i].Name == nodes[i-1].Name {
			return nil, fmt.Errorf("duplicate name %s", quote(nodes[i].Name))
		}
	}
	return nodes, nil
}

// object parses an object; each is called for the value of each key.
func (p *listingParser) object(each func(key string) error) error {
	if err := p.delim('{'); err != nil {
		return err
	}
	for p.dec.More() {
		key, err := p.string()
		if err != nil {
			return err
		}
		if err := each(key); err != nil {
			return err
		}
	}
	return p.delim('}')
}

func (p *listingParser) delim(want json.Delim) error {
	tok, err := p.dec.Token()
	if err == nil && tok != want {
		err = fmt.Errorf("offset %d: expected %v, got %v", p.dec.InputOffset(), want, tok)
	}
	return err
}

func (p *listingParser) string() (string, error) { return token[string](p, "a string") }
func (p *listingParser) bool() (bool, error)     { return token[bool](p, "true or false") }
func (p *listingParser) number() (string, error) {
	n, err := token[json.Number](p, "a number")
	return n.String(), err
}

// count parses a number of bytes.
func (p *listingParser) count() (int64, error) {
	s, err := p.number()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("offset %d: expected a number of bytes, got %s", p.dec.InputOffset(), quote(s))
	}
	return n, nil
}

// token parses a token of one kind.
func token[T any](p *listingParser, what string) (T, error) {
	tok, err := p.dec.Token()
	v, ok := tok.(T)
	if err == nil && !ok {
		err = fmt.Errorf("offset %d: expected %s, got %v", p.dec.InputOffset(), what, tok)
	}
	return v, err
}

// maxSkipDepth bounds the nesting of values with unknown keys, for which the
// decoder keeps a stack.
const maxSkipDepth = 64

// skip passes over a value.
func (p *listingParser) skip() error {
	for depth := 0; ; {
		tok, err := p.dec.Token()
		if err != nil {
			return err
		}
		switch tok {
		case json.Delim('{'), json.Delim('['):
			if depth++; depth > maxSkipDepth {
				return fmt.Errorf("offset %d: an unknown key has a value nested deeper than %d", p.dec.InputOffset(), maxSkipDepth)
			}
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}
