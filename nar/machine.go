package nar

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strings"
)

// machine is the grammar of a NAR. It takes token after token from the bytes it
// is given and reports each node whose header is complete. Reader pulls bytes
// through it; Validator and ListingWriter push them.
type machine struct {
	state state
	trail trail
	off   int64 // of the next byte in the NAR

	need int   // the bytes that step needs, after it got too few
	left int64 // contents that are not taken yet

	// The latest node. target is valid until the bytes given to step change.
	node   Header
	target []byte
}

// state is the place in the grammar, named by the token that comes next.
type state uint8

const (
	atMagic state = iota
	atOpen
	atTypeTag
	atType
	atMode
	atExecutable
	atContents
	atSize
	inContents
	atPadding
	atTargetTag
	atTarget
	atClose
	atEntry
	atEntryOpen
	atNameTag
	atName
	atNodeTag
	atEntryClose
	atEnd
)

// choice is a tag that may come, and the state after it.
type choice struct {
	tag  string
	next state
}

// rule is what may come at a state.
type rule struct {
	choices []choice // none where the token is not a tag

	// least is the number of bytes to the end of the shortest NAR that
	// continues from here at depth 0. Each level of depth adds perLevel. A
	// reader may fetch that many without reading past the end.
	least int64
}

const perLevel = 32 // the ")" of an entry and that of its directory

var grammar = [...]rule{
	atMagic:      {[]choice{{magic, atOpen}}, 96},
	atOpen:       {[]choice{{"(", atTypeTag}}, 72},
	atTypeTag:    {[]choice{{"type", atType}}, 56},
	atType:       {[]choice{{tagRegular, atMode}, {tagDirectory, atEntry}, {tagSymlink, atTargetTag}}, 40},
	atMode:       {[]choice{{"contents", atSize}, {"executable", atExecutable}}, 40},
	atExecutable: {[]choice{{"", atContents}}, 48},
	atContents:   {[]choice{{"contents", atSize}}, 40},
	atSize:       {nil, 24},
	inContents:   {nil, 16},
	atPadding:    {nil, 16},
	atTargetTag:  {[]choice{{"target", atTarget}}, 48},
	atTarget:     {nil, 32},
	atClose:      {[]choice{{")", atEntryClose}}, 16},
	atEntry:      {[]choice{{"entry", atEntryOpen}, {")", atEntryClose}}, 16},
	atEntryOpen:  {[]choice{{"(", atNameTag}}, 168},
	atNameTag:    {[]choice{{"name", atName}}, 152},
	atName:       {nil, 136},
	atNodeTag:    {[]choice{{"node", atOpen}}, 88},
	atEntryClose: {[]choice{{")", atEntry}}, 32},
	atEnd:        {nil, 0},
}

// event is what step found.
type event uint8

const (
	evNone event = iota // nothing to report
	evNode              // a node's header is complete: node, target, trail
	evEnd               // the NAR is complete
)

// step takes the token that b begins with and returns its length. If b is too
// short, step takes nothing and sets need to the length that b must have. It
// must not be called while contents are left, nor after the end.
func (m *machine) step(b []byte) (n int, ev event, err error) {
	switch m.state {
	case atSize:
		return m.size(b)
	case atPadding:
		return m.padding(b)
	case atTarget:
		return m.linkTarget(b)
	case atName:
		return m.name(b)
	}
	return m.tag(b)
}

// str returns the string that b begins with, and its length with prefix and
// padding.
func (m *machine) str(b []byte, limit uint64) (s []byte, n int, err error) {
	if len(b) < 8 {
		m.need = 8
		return nil, 0, nil
	}
	size := binary.LittleEndian.Uint64(b)
	if size > limit {
		return nil, 0, m.errorf("expected %s, got a string of %d bytes", m.expected(), size)
	}
	end := 8 + int(size)
	n = end + padding(int64(size))
	if len(b) < n {
		m.need = n
		return nil, 0, nil
	}
	if !bytes.Equal(b[end:n], zeros[:n-end]) {
		return nil, 0, m.errorf("padding is not zero")
	}
	return b[8:end], n, nil
}

func (m *machine) tag(b []byte) (n int, ev event, err error) {
	s, n, err := m.str(b, uint64(len(magic)))
	if n == 0 || err != nil {
		return 0, evNone, err
	}
	for _, c := range grammar[m.state].choices {
		if string(s) == c.tag {
			ev = m.enter(c.next)
			m.off += int64(n)
			return n, ev, nil
		}
	}
	return 0, evNone, m.errorf("expected %s, got %s", m.expected(), quote(string(s)))
}

// enter moves to the state after a tag.
func (m *machine) enter(next state) event {
	prev := m.state
	m.state = next
	switch {
	case prev == atType:
		m.node = Header{Type: TypeRegular}
		switch next {
		case atEntry:
			m.node.Type = TypeDirectory
			m.trail.open()
			return evNode
		case atTargetTag:
			m.node.Type = TypeSymlink
		}
	case next == atExecutable:
		m.node.Executable = true
	case next == atEntryClose:
		if m.trail.depth == 0 {
			m.state = atEnd
			return evEnd
		}
		m.trail.leave()
	}
	return evNone
}

func (m *machine) size(b []byte) (n int, ev event, err error) {
	if len(b) < 8 {
		m.need = 8
		return 0, evNone, nil
	}
	size := binary.LittleEndian.Uint64(b)
	if size > math.MaxInt64 {
		return 0, evNone, m.errorf("contents of %d bytes", size)
	}
	m.off += 8
	m.node.Size = int64(size)
	m.node.ContentOffset = m.off
	m.left = int64(size)
	m.state = inContents
	m.take(0)
	return 8, evNode, nil
}

// take records that n bytes of the contents passed, at most left.
func (m *machine) take(n int64) {
	m.off += n
	m.left -= n
	if m.left > 0 {
		return
	}
	m.state = atClose
	if padding(m.node.Size) > 0 {
		m.state = atPadding
	}
}

func (m *machine) padding(b []byte) (n int, ev event, err error) {
	n = padding(m.node.Size)
	if len(b) < n {
		m.need = n
		return 0, evNone, nil
	}
	if !bytes.Equal(b[:n], zeros[:n]) {
		return 0, evNone, m.errorf("padding is not zero")
	}
	m.off += int64(n)
	m.state = atClose
	return n, evNone, nil
}

func (m *machine) linkTarget(b []byte) (n int, ev event, err error) {
	s, n, err := m.str(b, maxTarget)
	if n == 0 || err != nil {
		return 0, evNone, err
	}
	if err := checkTarget(s); err != nil {
		return 0, evNone, m.errorf("%v", err)
	}
	m.target = s
	m.off += int64(n)
	m.state = atClose
	return n, evNode, nil
}

func (m *machine) name(b []byte) (n int, ev event, err error) {
	s, n, err := m.str(b, maxName)
	if n == 0 || err != nil {
		return 0, evNone, err
	}
	if err := m.trail.enter(s); err != nil {
		return 0, evNone, m.errorf("%v", err)
	}
	m.off += int64(n)
	m.state = atNodeTag
	return n, evNone, nil
}

// least returns the smallest number of bytes from here to the end of a NAR,
// without the rest of the contents and their padding.
func (m *machine) least() int64 {
	return grammar[m.state].least + perLevel*int64(m.trail.depth)
}

// header returns the latest node as a new Header.
func (m *machine) header() Header {
	h := m.node
	h.Path = m.trail.String()
	if h.Type == TypeSymlink {
		h.LinkTarget = string(m.target)
	}
	return h
}

func (m *machine) errorf(format string, args ...any) error {
	return &FormatError{Offset: m.off, Path: m.trail.String(), Reason: fmt.Sprintf(format, args...)}
}

// truncated returns the error of a NAR that ends before it is complete.
func (m *machine) truncated(at int64) error {
	return &FormatError{
		Offset: at,
		Path:   m.trail.String(),
		Reason: "the NAR ends early, expected " + m.expected(),
		Err:    io.ErrUnexpectedEOF,
	}
}

// expected describes what comes next, for messages.
func (m *machine) expected() string {
	switch m.state {
	case atSize:
		return "the size of the contents"
	case inContents:
		return fmt.Sprintf("%d more bytes of contents", m.left)
	case atPadding:
		return "padding"
	case atTarget:
		return "a link target"
	case atName:
		return "a name"
	case atEnd:
		return "nothing more"
	}
	var b strings.Builder
	for i, c := range grammar[m.state].choices {
		if i > 0 {
			b.WriteString(" or ")
		}
		fmt.Fprintf(&b, "%q", c.tag)
	}
	return b.String()
}
