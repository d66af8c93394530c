package gc

import (
	"crypto/sha256"
	"encoding/binary"
	"hash/maphash"
	"math"
	"strings"
	"time"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/store/layout"
)

// id is the place of a path, or of an archive, in the columns of a graph.
type id = uint32

const noID id = math.MaxUint32

// hashPart is the hash part of a store path, decoded.
type hashPart [20]byte

func parseHashPart(s string) (hashPart, bool) {
	digest, err := nixhash.DecodeNix32(s)
	if err != nil || len(digest) != len(hashPart{}) {
		return hashPart{}, false
	}
	return hashPart(digest), true
}

func (h hashPart) String() string { return nixhash.EncodeNix32(h[:]) }

// digest is a short digest of a text. Zero stands for no text.
type digest uint64

func digestOf(parts ...string) digest {
	h := sha256.New()
	for _, p := range parts {
		h.Write(binary.AppendUvarint(nil, uint64(len(p))))
		h.Write([]byte(p))
	}
	return digest(max(1, binary.LittleEndian.Uint64(h.Sum(nil))))
}

// seconds are a time of the server's clock since 1970.
type seconds uint32

func secondsOf(t time.Time) seconds {
	return seconds(min(max(t.Unix(), 0), math.MaxUint32))
}

func (s seconds) time() time.Time { return time.Unix(int64(s), 0).UTC() }

// marks of a path.
type marks uint8

const (
	listed  marks = 1 << iota // its narinfo is visible
	unread                    // what is known of it is not that of its narinfo
	kept                      // must stay
	broken                    // its narinfo cannot be read
	named                     // a root names it itself
	pending                   // on a stack or in a queue
)

// graph is what is known of the paths of a cache, in columns: some 120 bytes
// and 4 for each reference a path. A path that is only referred to has an id
// too.
type graph struct {
	index table
	hash  []hashPart
	marks []marks
	etag  []digest  // of the narinfo as it was read
	added []seconds // when the narinfo was written
	ls    []seconds // when the listing was written, 0 where there is none
	size  []int64   // NarSize

	archive []id     // in archives, noID where it is not in the bucket
	deriver []digest // of its base name

	refsAt, refsLen []uint32 // in refs
	refs            []id
	nameAt          []uint32 // in names
	nameLen         []uint8
	names           []byte

	archives archives
}

// archives are what narinfos refer to. An archive and its index have the same
// stem.
type archives struct {
	index table
	stem  []digest
	size  []int64 // of the file as listed, 0 where it is missing
	inNar []bool  // below nar/, which is listed
}

func (g *graph) len() int { return len(g.hash) }

// find returns the id of a hash part, noID where there is none.
func (g *graph) find(h hashPart) id {
	return g.index.find(binary.LittleEndian.Uint64(h[:]), func(i id) bool { return g.hash[i] == h })
}

// node returns the id of a hash part, which is made where there is none.
func (g *graph) node(h hashPart) id {
	if i := g.find(h); i != noID {
		return i
	}
	i := id(len(g.hash))
	g.hash = append(g.hash, h)
	g.marks = append(g.marks, 0)
	g.etag = append(g.etag, 0)
	g.added = append(g.added, 0)
	g.ls = append(g.ls, 0)
	g.size = append(g.size, 0)
	g.archive = append(g.archive, noID)
	g.deriver = append(g.deriver, 0)
	g.refsAt = append(g.refsAt, 0)
	g.refsLen = append(g.refsLen, 0)
	g.nameAt = append(g.nameAt, 0)
	g.nameLen = append(g.nameLen, 0)
	g.index.insert(i, func(i id) uint64 { return binary.LittleEndian.Uint64(g.hash[i][:]) })
	return i
}

// set stores what a narinfo says.
func (g *graph) set(i id, info *narinfo.NarInfo) {
	g.size[i] = info.NarSize
	g.deriver[i] = 0
	if !info.Deriver.IsZero() {
		g.deriver[i] = digestOf(info.Deriver.String())
	}
	g.archive[i] = noID
	if key, err := layout.ReferenceKey(info.URL); err == nil {
		g.archive[i] = g.archives.node(key)
	}
	g.nameAt[i], g.nameLen[i] = uint32(len(g.names)), uint8(len(info.Path.Name()))
	g.names = append(g.names, info.Path.Name()...)
	at := uint32(len(g.refs))
	for _, ref := range info.References {
		h, ok := parseHashPart(ref.HashPart())
		if !ok || h == g.hash[i] {
			continue
		}
		g.refs = append(g.refs, g.node(h))
	}
	g.refsAt[i], g.refsLen[i] = at, uint32(len(g.refs))-at
	g.marks[i] &^= unread | broken
}

// references returns the paths that a path refers to, itself left out.
func (g *graph) references(i id) []id {
	return g.refs[g.refsAt[i] : g.refsAt[i]+g.refsLen[i]]
}

// base returns a path's base name, only the hash part where the rest is not
// known.
func (g *graph) base(i id) string {
	if g.nameLen[i] == 0 {
		return g.hash[i].String()
	}
	at := g.nameAt[i]
	return g.hash[i].String() + "-" + string(g.names[at:at+uint32(g.nameLen[i])])
}

// fileSize returns the size of a path's archive as stored, 0 where it is not
// known.
func (g *graph) fileSize(i id) int64 {
	if a := g.archive[i]; a != noID {
		return g.archives.size[a]
	}
	return 0
}

// visible yields the paths whose narinfo is in the bucket.
func (g *graph) visible(yield func(id) bool) {
	for i := range id(len(g.hash)) {
		if g.marks[i]&listed != 0 && !yield(i) {
			return
		}
	}
}

// stem is what an archive's key has in common with that of its index.
func stem(key string) digest {
	dir := strings.LastIndexByte(key, '/') + 1
	name, _, _ := strings.Cut(key[dir:], ".")
	return digestOf(key[:dir] + name)
}

func (a *archives) find(p digest) id {
	return a.index.find(uint64(p), func(i id) bool { return a.stem[i] == p })
}

func (a *archives) node(key string) id {
	p := stem(key)
	if i := a.find(p); i != noID {
		return i
	}
	return a.add(p, layout.KindOf(key) == layout.Archive)
}

func (a *archives) add(p digest, inNar bool) id {
	i := id(len(a.stem))
	a.stem = append(a.stem, p)
	a.size = append(a.size, 0)
	a.inNar = append(a.inNar, inNar)
	a.index.insert(i, func(i id) uint64 { return uint64(a.stem[i]) })
	return i
}

// table finds ids by a hash: open addressing over a power of two.
type table struct {
	slots []id
	n     int
	seed  maphash.Seed
}

func (t *table) slot(hash uint64) int {
	return int(maphash.Comparable(t.seed, hash) & uint64(len(t.slots)-1))
}

func (t *table) find(hash uint64, equal func(id) bool) id {
	if len(t.slots) == 0 {
		return noID
	}
	for s := t.slot(hash); t.slots[s] != noID; s = (s + 1) & (len(t.slots) - 1) {
		if equal(t.slots[s]) {
			return t.slots[s]
		}
	}
	return noID
}

// insert adds an id that is not in the table. hash returns that of any id.
func (t *table) insert(i id, hash func(id) uint64) {
	if t.n >= len(t.slots)*3/4 {
		t.grow(hash)
	}
	t.place(i, hash(i))
	t.n++
}

func (t *table) place(i id, hash uint64) {
	s := t.slot(hash)
	for t.slots[s] != noID {
		s = (s + 1) & (len(t.slots) - 1)
	}
	t.slots[s] = i
}

func (t *table) grow(hash func(id) uint64) {
	if t.slots == nil {
		t.seed = maphash.MakeSeed()
	}
	old := t.slots
	t.slots = make([]id, max(64, 2*len(old)))
	for s := range t.slots {
		t.slots[s] = noID
	}
	for _, i := range old {
		if i != noID {
			t.place(i, hash(i))
		}
	}
}
