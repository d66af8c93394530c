package verify

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
)

// Options say what Check looks at. The zero value checks the whole cache at
// the depth Listing.
type Options struct {
	Depth Depth

	// Roots restricts the check to the closures of these paths. Empty means
	// the whole cache, which has to be listed.
	Roots []storepath.Path

	// TrustedKeys, when there are any, must have signed every path that its
	// content address does not stand for.
	TrustedKeys narinfo.TrustedKeys

	// Since leaves out the paths whose narinfo and listing were both written
	// before this time, and the logs, realisations and links to debug files
	// that were. Zero means all. It has no effect on Roots.
	Since time.Time

	// Sample is the share of the objects that are checked, more than 0 and at
	// most 1. 0 means all of them. Seed chooses which: the same seed chooses
	// the same. They have no effect on Roots.
	Sample float64
	Seed   uint64

	// Shard is the part of the cache that is checked, so that many machines
	// can share the work. The zero value is the whole cache. It has no effect
	// on Roots.
	Shard Shard

	// Resume is the journal of an earlier run. What it says was checked at
	// this depth or deeper, and has not changed since, is not checked again;
	// its findings are yielded from the journal.
	Resume io.Reader

	// Journal receives a line of JSON for every object that was checked.
	Journal io.Writer

	// Plan is called with what the check will cost before it begins. An error
	// that it returns ends the check.
	Plan func(Plan) error

	// Progress is called after every object that was checked, from one
	// goroutine at a time.
	Progress func(Progress)
}

// Plan is what a check costs, known before any archive is read. Of archives,
// Bytes has the average where those of the selected paths are not known yet.
type Plan struct {
	Paths    int   // paths that are checked
	Resumed  int   // of those, paths that the journal knows
	Lists    int64 // LIST requests that were made to know this, at 1,000 keys each
	Requests int64 // that are still to be made
	Bytes    int64 // of objects that are still to be read, as stored
}

// Progress is how far a check has come.
type Progress struct {
	Checked, Total int   // objects
	Bytes          int64 // of archives that were read
	Findings       int
}

// Shard is one of Count equal parts of a cache.
type Shard struct {
	Index int // from 1 to Count
	Count int
}

// ParseShard reads <index>/<count>, such as 3/32.
func ParseShard(s string) (Shard, error) {
	var shard Shard
	err := shard.UnmarshalText([]byte(s))
	return shard, err
}

// UnmarshalText implements encoding.TextUnmarshaler: [ParseShard].
func (s *Shard) UnmarshalText(text []byte) error {
	index, count, ok := strings.Cut(string(text), "/")
	i, err1 := strconv.Atoi(index)
	n, err2 := strconv.Atoi(count)
	shard := Shard{i, n}
	if !ok || err1 != nil || err2 != nil || n < 1 || shard.check() != nil {
		return fmt.Errorf("shard %q: expected <index>/<count> with an index from 1 to the count", text)
	}
	*s = shard
	return nil
}

// String returns the form that ParseShard reads.
func (s Shard) String() string { return fmt.Sprintf("%d/%d", s.Index, s.Count) }

func (s Shard) check() error {
	if s != (Shard{}) && (s.Count < 1 || s.Index < 1 || s.Index > s.Count) {
		return fmt.Errorf("shard %v: expected an index from 1 to the count", s)
	}
	return nil
}

func (o *Options) check() error {
	if o.Depth > Contents {
		return fmt.Errorf("unknown depth %v", o.Depth)
	}
	if math.IsNaN(o.Sample) || o.Sample < 0 || o.Sample > 1 {
		return errors.New("sample: expected a share from 0 to 1")
	}
	return o.Shard.check()
}

// whole reports whether every object of the cache is looked at, which is what
// it takes to see that nothing refers to an object.
func (o *Options) whole() bool {
	return len(o.Roots) == 0 && o.Since.IsZero() && (o.Sample == 0 || o.Sample == 1) && o.Shard.Count <= 1
}

// selects reports whether an object is in the shard and the sample. name is
// the hash part of a path, or the key of another object.
func (o *Options) selects(name string) bool {
	if o.Shard.Count > 1 && hash(name, 0)%uint64(o.Shard.Count) != uint64(o.Shard.Index-1) {
		return false
	}
	if o.Sample > 0 && o.Sample < 1 {
		return float64(hash(name, o.Seed+1)>>11)/(1<<53) < o.Sample
	}
	return true
}

// hash spreads names evenly over 64 bits, the same on every machine.
func hash(name string, seed uint64) uint64 {
	h := fnv.New64a()
	h.Write(binary.LittleEndian.AppendUint64(nil, seed))
	io.WriteString(h, name)
	// The last bytes of FNV reach the high bits only by mixing.
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return x
}
