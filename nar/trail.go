package nar

import (
	"bytes"
	"fmt"
)

// trail is the path from the root to the node at hand. It also remembers the
// latest name in each directory on the way, and so holds names to their rules,
// for reading and for writing.
type trail struct {
	depth int // of the node at hand; the root's is 0

	// The names, joined by slashes. The name at depth d ends at ends[d]; what
	// is behind the node's own end belongs to nodes that were left. Where
	// directory d-1 has had no entry yet, ends[d] is 0.
	buf  []byte
	ends [maxDepth]int
}

// path is only valid until the next change.
func (t *trail) path() []byte { return t.buf[:t.ends[t.depth]] }

func (t *trail) String() string { return string(t.path()) }

// name is the last element of the path. Only valid until the next change.
func (t *trail) name() []byte {
	if t.depth == 0 {
		return nil
	}
	return t.buf[t.start(t.depth):t.ends[t.depth]]
}

// start is where the names of depth d begin.
func (t *trail) start(d int) int {
	if d <= 1 {
		return 0
	}
	return t.ends[d-1] + 1
}

// open makes the node at hand a directory without entries.
func (t *trail) open() {
	if t.depth+1 < maxDepth {
		t.ends[t.depth+1] = 0
	}
}

// enter goes on to an entry of the directory at hand.
func (t *trail) enter(name []byte) error {
	if err := checkName(name); err != nil {
		return err
	}
	d := t.depth + 1
	if d >= maxDepth {
		return fmt.Errorf("%s is nested too deeply: a node may have at most %d directories above it", quote(string(name)), maxDepth-1)
	}
	start := t.start(d)
	if end := t.ends[d]; end > 0 {
		last := t.buf[start:end]
		switch c := bytes.Compare(name, last); {
		case c == 0:
			return fmt.Errorf("duplicate name %s", quote(string(name)))
		case c < 0:
			return fmt.Errorf("name %s does not sort behind %s", quote(string(name)), quote(string(last)))
		}
	}
	if d > 1 {
		t.buf = append(t.buf[:start-1], '/')
	}
	t.buf = append(t.buf[:start], name...)
	t.ends[d] = len(t.buf)
	t.depth = d
	return nil
}

// leave goes back to the directory that holds the node at hand.
func (t *trail) leave() { t.depth-- }
