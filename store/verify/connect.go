package verify

import (
	"fmt"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/layout"
)

// dispute is a reference to a path that another path refers to by another name,
// before the narinfo of the path has been read.
type dispute struct {
	target    int // index in the survey
	name      uint64
	reference storepath.Path
	referrer  storepath.Path
}

// connect compares a path with the rest of the cache: marks its archive as
// used, and looks for its references. Names of paths show only when their
// narinfos are read, so that the survey keeps a hash of the name that the first
// referrer expects.
func (c *checker) connect(r result) {
	s := c.survey
	if key, err := layout.ReferenceKey(r.URL); err == nil && r.URL != "" {
		if archive := s.archive(key); archive != nil {
			archive.used = true
		}
	}
	if r.Path.IsZero() {
		return
	}
	s.paths[r.index].unlistable = r.Unlistable
	own, name := &s.paths[r.index], hash(r.Path.String(), 1)|1
	if own.by >= 0 && own.name != name {
		c.missingReference(s.paths[own.by].hashPart, storepath.Path{}, storepath.Path{}, r.Path)
	}
	own.name, own.by = name, -1
	if c.opts.Depth < Metadata {
		return
	}
	for _, ref := range r.References {
		if c.stopped {
			return
		}
		i := s.path(ref.HashPart())
		if i < 0 {
			c.missingReference(r.Path.HashPart(), r.Path, ref, storepath.Path{})
			continue
		}
		switch target, name := &s.paths[i], hash(ref.String(), 1)|1; {
		case target.name == 0:
			target.name, target.by = name, int32(r.index)
		case target.name == name:
		case target.by < 0:
			c.missingReference(r.Path.HashPart(), r.Path, ref, storepath.Path{})
		default:
			c.disputes = append(c.disputes, dispute{i, name, ref, r.Path})
		}
	}
}

// settleDisputes decides between referrers that disagree on a name.
func (c *checker) settleDisputes() {
	for _, d := range c.disputes {
		if target := &c.survey.paths[d.target]; target.by < 0 && target.name != d.name && !c.stopped {
			c.missingReference(d.referrer.HashPart(), d.referrer, d.reference, storepath.Path{})
		}
	}
}

// missingReference yields that a path refers to one that the cache lacks. has
// is the path that it has in its place.
func (c *checker) missingReference(hashPart string, referrer, reference, has storepath.Path) {
	f := Finding{Kind: ReferenceMissing, Key: layout.NarInfoKey(hashPart), Path: referrer, Also: reference}
	f.Detail = reference.String()
	if !has.IsZero() {
		f.Also, f.Detail = has, fmt.Sprintf("it refers to another path with the hash part of %s", has)
	}
	c.found(f)
}
