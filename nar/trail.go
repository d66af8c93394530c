package nar

import (
	"bytes"
	"fmt"
)

// trail is the path from the root to the present node. It also keeps the latest
// name in each directory on the way, to enforce the rules of names when reading
// and when writing.
type trail struct {
	depth int // of the present node; 0 for the root

	// The names, joined by slashes. The name at depth d ends at ends[d]; what
	// follows the end of the present node belongs to nodes that were left. While
	// directory d-1 has had no entry, ends[d] is 0.
	buf  []byte
	ends [maxDepth]int
}

// path returns the path. It is valid until the next change.
func (t *trail) path() []byte { return t.buf[:t.ends[t.depth]] }

func (t *trail) String() string { return string(t.path()) }

// name returns the last element of the path. It is valid until the next change.
func (t *trail) name() []byte {
	if t.depth == 0 {
		return nil
	}
	return t.buf[t.start(t.depth):t.ends[t.depth]]
}

// start returns where the names of depth d begin.
func (t *trail) start(d int) int {
	if d <= 1 {
		return 0
	}
	return t.ends[d-1] + 1
}

// open makes the present node a directory without entries.
func (t *trail) open() {
	if t.depth+1 < maxDepth {
		t.ends[t.depth+1] = 0
	}
}

// enter moves to an entry of the present directory.
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
			return fmt.Errorf("name %s does not sort after %s", quote(string(name)), quote(string(last)))
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

// leave returns to the directory that holds the present node.
func (t *trail) leave() { t.depth-- }
