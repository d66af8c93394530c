package gc

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"example.com/nixs3/narinfo/storepath"
)

// The graph is kept in shards of so many paths, each a gzip file of
//
//	magic  paths archives links                      counts, of the shard
//	hash etag size archive deriver nameLen refsLen   columns, an element a path
//	names refs
//	stem inNar                                       columns, an element an archive
//	key etag target                                  columns, an element a link
//	SHA-256 of all of this
//
// in little-endian order. References and archives are places in all shards
// together, in the order of their numbers.
const (
	shardPaths = 1 << 16
	shardMagic = "nixs3 graph 1\n"

	// shardLimit bounds a shard in bytes when decompressed.
	shardLimit = 256 << 20
)

var errGraph = errors.New("stored graph is damaged")

// shard is a part of a graph on its way into the bucket or out of it. The
// elements of archive and refs are places in the whole.
type shard struct {
	hash    []hashPart
	etag    []digest
	size    []int64
	archive []uint32
	deriver []digest
	nameLen []uint8
	refsLen []uint32
	names   []byte
	refs    []uint32

	stem  []digest
	inNar []bool

	linkKey    []digest
	linkEtag   []digest
	linkTarget []hashPart
}

func (s *shard) encode() ([]byte, error) {
	buf := []byte(shardMagic)
	for _, n := range []int{len(s.hash), len(s.stem), len(s.linkKey)} {
		buf = binary.LittleEndian.AppendUint32(buf, uint32(n))
	}
	for _, column := range s.columns() {
		var err error
		if buf, err = binary.Append(buf, binary.LittleEndian, column); err != nil {
			return nil, err
		}
	}
	sum := sha256.Sum256(buf)
	return compressed(append(buf, sum[:]...))
}

func (s *shard) columns() []any {
	return []any{s.hash, s.etag, s.size, s.archive, s.deriver, s.nameLen, s.refsLen,
		uint32(len(s.names)), s.names, uint32(len(s.refs)), s.refs,
		s.stem, s.inNar, s.linkKey, s.linkEtag, s.linkTarget}
}

func decodeShard(data []byte) (*shard, error) {
	data, err := decompressed(data, shardLimit)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errGraph, err)
	}
	body := len(data) - sha256.Size
	if body < len(shardMagic) || string(data[:len(shardMagic)]) != shardMagic {
		return nil, fmt.Errorf("%w: it does not begin as one", errGraph)
	}
	if sha256.Sum256(data[:body]) != [sha256.Size]byte(data[body:]) {
		return nil, fmt.Errorf("%w: its checksum is wrong", errGraph)
	}
	d := decoder{rest: data[len(shardMagic):body]}
	paths, archives, links := d.count(), d.count(), d.count()
	s := &shard{
		hash:    column[hashPart](&d, paths),
		etag:    column[digest](&d, paths),
		size:    column[int64](&d, paths),
		archive: column[uint32](&d, paths),
		deriver: column[digest](&d, paths),
		nameLen: column[uint8](&d, paths),
		refsLen: column[uint32](&d, paths),
	}
	s.names = column[byte](&d, d.count())
	s.refs = column[uint32](&d, d.count())
	s.stem, s.inNar = column[digest](&d, archives), column[bool](&d, archives)
	s.linkKey, s.linkEtag, s.linkTarget = column[digest](&d, links), column[digest](&d, links), column[hashPart](&d, links)
	if d.err != nil || len(d.rest) > 0 {
		return nil, fmt.Errorf("%w: its columns are not of the lengths that it says", errGraph)
	}
	return s, s.check()
}

// check compares the sums of lengths with what there is.
func (s *shard) check() error {
	names, refs := 0, 0
	for i := range s.hash {
		names += int(s.nameLen[i])
		refs += int(s.refsLen[i])
	}
	if names != len(s.names) || refs != len(s.refs) {
		return fmt.Errorf("%w: names or references do not fit their lengths", errGraph)
	}
	return nil
}

// decoder takes columns off the beginning of a shard.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) count() int {
	v := column[uint32](d, 1)
	if len(v) == 0 {
		return 0
	}
	return int(v[0])
}

func column[T any](d *decoder, n int) []T {
	var v T
	size := binary.Size(v)
	if d.err == nil && n > len(d.rest)/size {
		d.err = errGraph
	}
	if d.err != nil || n == 0 {
		return nil
	}
	out := make([]T, n)
	if _, err := binary.Decode(d.rest[:n*size], binary.LittleEndian, out); err != nil {
		d.err = err
		return nil
	}
	d.rest = d.rest[n*size:]
	return out
}

// append adds a shard to a graph. finish checks the whole.
func (g *graph) append(s *shard) error {
	names, refs := 0, 0
	for i, h := range s.hash {
		if g.find(h) != noID {
			return fmt.Errorf("%w: it has the path %v twice", errGraph, h)
		}
		if int64(s.size[i]) < 0 || int(s.nameLen[i]) > storepath.MaxNameLen {
			return fmt.Errorf("%w: path %v has a bad size or name", errGraph, h)
		}
		n := g.node(h)
		g.etag[n], g.size[n], g.archive[n], g.deriver[n] = s.etag[i], s.size[i], s.archive[i], s.deriver[i]
		g.nameAt[n], g.nameLen[n] = uint32(len(g.names)+names), s.nameLen[i]
		g.refsAt[n], g.refsLen[n] = uint32(len(g.refs)+refs), s.refsLen[i]
		names, refs = names+int(s.nameLen[i]), refs+int(s.refsLen[i])
	}
	g.names = append(g.names, s.names...)
	g.refs = append(g.refs, s.refs...)
	for i, p := range s.stem {
		if g.archives.find(p) != noID {
			return fmt.Errorf("%w: it has an archive twice", errGraph)
		}
		g.archives.add(p, s.inNar[i])
	}
	return nil
}

// finish checks that references lead to what there is.
func (g *graph) finish() error {
	for _, ref := range g.refs {
		if int(ref) >= len(g.hash) {
			return fmt.Errorf("%w: a reference leads to path %d of %d", errGraph, ref, len(g.hash))
		}
	}
	for _, a := range g.archive {
		if a != noID && int(a) >= len(g.archives.stem) {
			return fmt.Errorf("%w: a path has archive %d of %d", errGraph, a, len(g.archives.stem))
		}
	}
	return nil
}

// shards yields what is worth to be stored of a graph: the visible paths that
// were read, and what they refer to.
func (g *graph) shards(links map[digest]link, yield func(n, count int, s *shard) error) error {
	keep := make([]bool, g.len())
	for i := range g.visible {
		if g.etag[i] == 0 || g.marks[i]&(unread|broken) != 0 {
			continue
		}
		keep[i] = true
		for _, ref := range g.references(i) {
			keep[ref] = true
		}
	}
	place := numbered(keep)
	usedArchives := make([]bool, len(g.archives.stem))
	for i, k := range keep {
		if k && g.archive[i] != noID {
			usedArchives[g.archive[i]] = true
		}
	}
	archivePlace := numbered(usedArchives)

	count := max(1, (max(len(place.members), len(archivePlace.members), len(links))+shardPaths-1)/shardPaths)
	linkKeys := sortedKeys(links)
	for n := range count {
		s := &shard{}
		for _, i := range window(place.members, n) {
			known := g.marks[i]&listed != 0 && g.marks[i]&(unread|broken) == 0
			s.add(g, i, known, place.of, archivePlace.of)
		}
		for _, a := range window(archivePlace.members, n) {
			s.stem = append(s.stem, g.archives.stem[a])
			s.inNar = append(s.inNar, g.archives.inNar[a])
		}
		for _, k := range window(linkKeys, n) {
			s.linkKey = append(s.linkKey, k)
			s.linkEtag = append(s.linkEtag, links[k].etag)
			s.linkTarget = append(s.linkTarget, links[k].target)
		}
		if err := yield(n, count, s); err != nil {
			return err
		}
	}
	return nil
}

// add appends a path to a shard; of one that is not known only the hash part.
func (s *shard) add(g *graph, i id, known bool, place, archivePlace []uint32) {
	s.hash = append(s.hash, g.hash[i])
	if !known {
		s.etag, s.size, s.deriver = append(s.etag, 0), append(s.size, 0), append(s.deriver, 0)
		s.archive, s.nameLen, s.refsLen = append(s.archive, noID), append(s.nameLen, 0), append(s.refsLen, 0)
		return
	}
	archive := noID
	if a := g.archive[i]; a != noID {
		archive = archivePlace[a]
	}
	s.etag, s.size, s.deriver = append(s.etag, g.etag[i]), append(s.size, g.size[i]), append(s.deriver, g.deriver[i])
	s.archive, s.nameLen = append(s.archive, archive), append(s.nameLen, g.nameLen[i])
	s.names = append(s.names, g.names[g.nameAt[i]:g.nameAt[i]+uint32(g.nameLen[i])]...)
	s.refsLen = append(s.refsLen, g.refsLen[i])
	for _, ref := range g.references(i) {
		s.refs = append(s.refs, place[ref])
	}
}

// numbering gives members of a set consecutive numbers.
type numbering struct {
	members []id
	of      []uint32 // noID for what is not a member
}

func numbered(set []bool) numbering {
	n := numbering{of: make([]uint32, len(set))}
	for i, member := range set {
		n.of[i] = noID
		if member {
			n.of[i] = uint32(len(n.members))
			n.members = append(n.members, id(i))
		}
	}
	return n
}

// window returns the elements of the n-th shard.
func window[T any](s []T, n int) []T {
	return s[min(len(s), n*shardPaths):min(len(s), (n+1)*shardPaths)]
}

func sortedKeys(links map[digest]link) []digest {
	keys := make([]digest, 0, len(links))
	for k := range links {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
