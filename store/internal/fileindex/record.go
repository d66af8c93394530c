package fileindex

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"strings"

	"example.com/nixs3/nar"
	"example.com/nixs3/narinfo/storepath"
)

// Record is the files of a store path.
type Record struct {
	Path    storepath.Path
	entries []byte
}

// Entry is one file of a store path.
type Entry struct {
	Name       string // slash-separated, relative to the store path; "" for its root
	Type       nar.Type
	Executable bool
	Size       int64
	LinkTarget string
}

// The types of entries.
const (
	regular = iota + 1
	executable
	directory
	symlink
)

// NewRecord returns the record of a path with a listing. It fails if the listing
// exceeds a bound of the format.
func NewRecord(p storepath.Path, l *nar.Listing) (Record, error) {
	r := Record{Path: p}
	last := ""
	for name, n := range l.All() {
		if len(name) > maxName || len(n.LinkTarget) > maxTarget {
			return r, fmt.Errorf("%s: expected names of at most %d bytes and targets of at most %d, got %d and %d", p, maxName, maxTarget, len(name), len(n.LinkTarget))
		}
		r.append(last, name, n)
		if len(r.entries) > MaxRecord {
			return r, fmt.Errorf("%s: expected a listing that takes at most %d bytes in the index", p, MaxRecord)
		}
		last = name
	}
	return r, nil
}

func (r *Record) append(last, name string, n *nar.Node) {
	kind := byte(regular)
	switch {
	case n.Type == nar.TypeDirectory:
		kind = directory
	case n.Type == nar.TypeSymlink:
		kind = symlink
	case n.Executable:
		kind = executable
	}
	shared := 0
	for shared < min(len(last), len(name)) && last[shared] == name[shared] {
		shared++
	}
	b := append(r.entries, kind)
	b = binary.AppendUvarint(b, uint64(shared))
	b = appendText(b, name[shared:])
	switch kind {
	case regular, executable:
		b = binary.AppendUvarint(b, uint64(n.Size))
	case symlink:
		b = appendText(b, n.LinkTarget)
	}
	r.entries = b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// Clone returns a record that the reader does not overwrite.
func (r *Record) Clone() Record { return Record{r.Path, bytes.Clone(r.entries)} }

// Entries yields the files of the path in the order of the NAR. A malformed
// record yields an error that is ErrFormat, last.
func (r *Record) Entries() iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		d := decoder{rest: r.entries}
		var name []byte
		for len(d.rest) > 0 {
			var e Entry
			name = d.entry(name, &e)
			if d.err != nil {
				yield(Entry{}, fmt.Errorf("%s: %w", r.Path, d.err))
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// decoder reads the entries of a record. After an error, it reads zeros.
type decoder struct {
	rest []byte
	err  error
}

// entry reads an entry, and returns its name, which may overwrite last.
func (d *decoder) entry(last []byte, e *Entry) (name []byte) {
	kind := d.rest[0]
	d.rest = d.rest[1:]
	shared := d.number(uint64(len(last)))
	name = append(last[:shared], d.text(maxName-shared)...)
	e.Name = string(name)
	if d.err == nil && !validName(e.Name) {
		d.err = formatError("%.200q is not the name of a file", e.Name)
	}
	switch kind {
	case regular, executable:
		e.Type, e.Executable = nar.TypeRegular, kind == executable
		e.Size = int64(d.number(math.MaxInt64))
	case directory:
		e.Type = nar.TypeDirectory
	case symlink:
		e.Type = nar.TypeSymlink
		e.LinkTarget = string(d.text(maxTarget))
	default:
		d.fail("unknown type %d of an entry", kind)
	}
	return name
}

func validName(name string) bool {
	return !strings.HasPrefix(name, "/") && !strings.HasSuffix(name, "/") && !strings.Contains(name, "\x00")
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = formatError(format, args...)
	}
}

func (d *decoder) number(limit uint64) uint64 {
	n, length := binary.Uvarint(d.rest)
	if length <= 0 || n > limit {
		d.fail("expected a number of at most %d", limit)
		return 0
	}
	d.rest = d.rest[length:]
	return n
}

func (d *decoder) text(limit uint64) []byte {
	n := d.number(min(limit, uint64(len(d.rest))))
	if n > uint64(len(d.rest)) {
		d.fail("expected %d bytes, got %d", n, len(d.rest))
		return nil
	}
	text := d.rest[:n]
	d.rest = d.rest[n:]
	return text
}
