package nar

import (
	"fmt"
	"io"
	"iter"
	"sort"
	"strings"
)

// maxListingEntries bounds the file system objects of a [Listing], unless
// [ListingWriter.MaxEntries] is set.
const maxListingEntries = 1 << 20

// maxTextPerEntry bounds the names and link targets of a listing, on average.
const maxTextPerEntry = 256

// Listing is the table of contents of a NAR: everything except the contents of
// its files, and where those are. Binary caches keep it as JSON beside a NAR, as
// <hash>.ls. Any number of goroutines may read a Listing at once.
type Listing struct {
	Root *Node
}

// Node is one file system object of a [Listing].
type Node struct {
	Name          string // in its directory, "" for the root
	Type          Type
	Executable    bool
	Size          int64   // of the contents, in bytes
	ContentOffset int64   // where the contents begin in the NAR
	LinkTarget    string  // of a symbolic link
	Entries       []*Node // of a directory, in the byte order of their names
}

// Entry returns the entry with a name, or nil.
func (n *Node) Entry(name string) *Node {
	i := sort.Search(len(n.Entries), func(i int) bool { return n.Entries[i].Name >= name })
	if i < len(n.Entries) && n.Entries[i].Name == name {
		return n.Entries[i]
	}
	return nil
}

// Lookup returns the node with a slash-separated path, or nil. The path of the
// root is "". Symbolic links are not followed.
func (l *Listing) Lookup(path string) *Node {
	n := l.Root
	if path == "" {
		return n
	}
	for name := range strings.SplitSeq(path, "/") {
		if n == nil {
			break
		}
		n = n.Entry(name)
	}
	return n
}

// All yields every file system object with its path, in the order of the NAR.
func (l *Listing) All() iter.Seq2[string, *Node] {
	return func(yield func(string, *Node) bool) {
		if l.Root != nil {
			l.Root.walk("", yield)
		}
	}
}

func (n *Node) walk(path string, yield func(string, *Node) bool) bool {
	if !yield(path, n) {
		return false
	}
	if path != "" {
		path += "/"
	}
	for _, e := range n.Entries {
		if !e.walk(path+e.Name, yield) {
			return false
		}
	}
	return true
}

// List reads a NAR and returns its table of contents. It skips contents as
// [Reader] does. A NAR of more than [maxListingEntries] entries is an error.
func List(r io.Reader) (*Listing, error) {
	nr := NewReader(r)
	b := listingBuilder{max: maxListingEntries}
	for {
		switch err := nr.advance(); err {
		case nil:
			if err := b.add(&nr.m); err != nil {
				return nil, err
			}
		case io.EOF:
			return &b.listing, nil
		default:
			return nil, err
		}
	}
}

// ListingWriter is an [io.Writer] that lists the NAR written to it, and checks it
// as [Validator] does. The listing takes some 150 bytes of
// memory for each entry. It is not safe for concurrent use.
type ListingWriter struct {
	// MaxEntries bounds the entries; Write fails at one more. Names and link
	// targets may have 256 bytes for each of MaxEntries. 0 means
	// maxListingEntries. It must be set before the first Write.
	MaxEntries int

	// Visit, which may be nil, is called for each entry once its header is
	// complete, as [NewValidator] does. It is set before the first Write.
	Visit func(*Header) error

	validator Validator
	builder   listingBuilder
}

// NewListingWriter returns a ListingWriter.
func NewListingWriter() *ListingWriter {
	w := &ListingWriter{}
	w.validator.visit = func(m *machine) error {
		w.builder.max = w.MaxEntries
		if w.MaxEntries == 0 {
			w.builder.max = maxListingEntries
		}
		if err := w.builder.add(m); err != nil || w.Visit == nil {
			return err
		}
		h := m.header()
		return w.Visit(&h)
	}
	return w
}

// Write lists the next bytes of the NAR. After an error every call returns the
// same error.
func (w *ListingWriter) Write(p []byte) (int, error) { return w.validator.Write(p) }

// Close fails unless the NAR is complete.
func (w *ListingWriter) Close() error { return w.validator.Close() }

// Listing returns the listing of the NAR. It is nil before the NAR is complete,
// and after an error.
func (w *ListingWriter) Listing() *Listing {
	if w.validator.err != nil || w.validator.m.state != atEnd {
		return nil
	}
	return &w.builder.listing
}

// listingBuilder makes a Listing of the nodes of a machine.
type listingBuilder struct {
	listing Listing
	max     int
	entries int
	text    int64           // bytes of names and targets
	open    [maxDepth]*Node // the latest node of each depth
}

func (b *listingBuilder) add(m *machine) error {
	n := &Node{
		Name:          string(m.trail.name()),
		Type:          m.node.Type,
		Executable:    m.node.Executable,
		Size:          m.node.Size,
		ContentOffset: m.node.ContentOffset,
	}
	if n.Type == TypeSymlink {
		n.LinkTarget = string(m.target)
	}
	b.entries++
	b.text += int64(len(n.Name) + len(n.LinkTarget))
	if b.entries > b.max || b.text/maxTextPerEntry > int64(b.max) {
		return fmt.Errorf("nar: too many entries for a listing of at most %d, at %s", b.max, quote(m.trail.String()))
	}
	d := m.trail.depth
	b.open[d] = n
	if d == 0 {
		b.listing.Root = n
	} else {
		dir := b.open[d-1]
		dir.Entries = append(dir.Entries, n)
	}
	return nil
}
