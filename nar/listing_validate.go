package nar

import (
	"fmt"
	"math"
)

// Validate checks that the listing is one of a NAR of narSize bytes. Names,
// kinds, link targets and sizes say where the contents of each file begin and
// how long the NAR is, as the format leaves no choice. So a listing that passes
// has no extent that is negative, overlaps another, or leads out of the NAR.
//
// A narOffset of 0 is refused like any other that is false, but for an empty
// file. Validate cannot detect false names, nor sizes that are false but have
// the same sum.
func (l *Listing) Validate(narSize int64) error {
	if l.Root == nil {
		return fmt.Errorf("nar: listing: no root")
	}
	v := listingValidator{off: int64(len(appendString(nil, magic))), size: narSize}
	if err := v.node(l.Root, "", 0); err != nil {
		return fmt.Errorf("nar: listing: %w", err)
	}
	if v.off != narSize {
		return fmt.Errorf("nar: listing: expected a NAR of %d bytes, got entries for %d", narSize, v.off)
	}
	return nil
}

// listingValidator adds up what the nodes take in the NAR.
type listingValidator struct {
	off  int64 // where the next node begins
	size int64
}

// node checks a node and all below it. It calls itself less than maxDepth deep.
func (v *listingValidator) node(n *Node, name string, depth int) error {
	if depth >= maxDepth {
		return fmt.Errorf("%s is nested too deeply", quote(name))
	}
	h := Header{Type: n.Type, Executable: n.Executable, Size: n.Size, LinkTarget: n.LinkTarget}
	if err := checkHeader(&h); err != nil {
		return fmt.Errorf("%s: %w", quote(name), err)
	}
	switch n.Type {
	case TypeRegular:
		v.add(len(wireRegular) + 8)
		if n.Executable {
			v.add(len(wireExecutable) - len(wireRegular))
		}
		if n.ContentOffset != v.off && (n.ContentOffset != 0 || n.Size != 0) {
			return fmt.Errorf("%s: expected contents at offset %d, got %d", quote(name), v.off, n.ContentOffset)
		}
		if n.Size > math.MaxInt64-v.off-8 || v.off+n.Size > v.size {
			return fmt.Errorf("%s: %d bytes at offset %d lead out of a NAR of %d", quote(name), n.Size, v.off, v.size)
		}
		v.off += n.Size + int64(padding(n.Size))
	case TypeSymlink:
		v.add(len(wireSymlink) + stringSize(n.LinkTarget))
	case TypeDirectory:
		v.add(len(wireDirectory))
		last := ""
		for _, e := range n.Entries {
			if err := checkName([]byte(e.Name)); err != nil {
				return err
			}
			if last != "" && e.Name <= last {
				return fmt.Errorf("name %s does not sort after %s", quote(e.Name), quote(last))
			}
			last = e.Name
			v.add(len(wireEntry) + stringSize(e.Name) + len(wireNode))
			if err := v.node(e, e.Name, depth+1); err != nil {
				return err
			}
			v.add(len(wireClose))
		}
	}
	v.add(len(wireClose))
	return nil
}

func (v *listingValidator) add(n int) { v.off += int64(n) }

// stringSize is the size of str(s).
func stringSize(s string) int { return 8 + len(s) + padding(int64(len(s))) }
