package verify

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"sort"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/layout"
)

// survey is what the listing of a bucket says. It holds some 250 bytes for each
// path and its archive.
type survey struct {
	paths    []listedPath    // sorted by hash part
	archives []listedArchive // all below nar/ but the indexes, sorted by key
	orphaned []string        // hash parts of listings without a narinfo

	described bool // there is a nix-cache-info
	lists     int64

	// Of the depth Contents.
	logs, debugInfo, realisations []blob.Attrs
	indexes                       map[string]uint64 // state by key
}

// listedPath is a path of which the bucket has a narinfo.
type listedPath struct {
	hashPart string
	state    uint64 // changes when the narinfo or the listing does
	modified int64  // Unix time of the later of the two
	written  int64  // Unix time of the narinfo in nanoseconds
	narInfo  int64  // bytes
	digest   uint64 // of the narinfo's MD5, 0 where it is not known
	listing  int64  // bytes; -1 where there is none

	unlistable bool // see record

	// name is a hash of the path's base name, as its narinfo or the first that
	// refers to it has it; 0 while none was read.
	name uint64
	by   int32 // index of the path that refers to it, -1 for its narinfo
}

type listedArchive struct {
	key      string
	size     int64
	state    uint64
	modified int64
	used     bool // a narinfo refers to it
}

// pageSize is how many keys a LIST request returns.
const pageSize = 1000

// take lists what the depth needs: the narinfos with their listings, and the
// archives, in one LIST request for each thousand of them.
func takeSurvey(ctx context.Context, b blob.Bucket, depth Depth) (*survey, error) {
	s := &survey{indexes: map[string]uint64{}}
	var lists [5]int64
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		lists[0], err = s.listRoot(ctx, b)
		return err
	})
	g.Go(func() (err error) {
		lists[1], err = list(ctx, b, blob.ListOptions{Prefix: layout.ArchivePrefix}, func(a blob.Attrs) {
			switch layout.KindOf(a.Key) {
			case layout.Archive:
				s.archives = append(s.archives, listedArchive{key: a.Key, size: a.Size, state: stateOf(a), modified: unix(a.ModTime)})
			case layout.Index:
				s.indexes[a.Key] = stateOf(a)
			}
		})
		return err
	})
	if depth >= Contents {
		for i, into := range []struct {
			attrs    *[]blob.Attrs
			prefixes []string
		}{
			{&s.logs, []string{layout.LogPrefix}},
			{&s.debugInfo, []string{layout.DebugInfoPrefix}},
			{&s.realisations, layout.RealisationPrefixes()},
		} {
			g.Go(func() error {
				for _, prefix := range into.prefixes {
					n, err := list(ctx, b, blob.ListOptions{Prefix: prefix}, func(a blob.Attrs) {
						if layout.KindOf(a.Key) != layout.Other {
							*into.attrs = append(*into.attrs, a)
						}
					})
					lists[2+i] += n
					if err != nil {
						return err
					}
				}
				return nil
			})
		}
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for _, n := range lists {
		s.lists += n
	}
	return s, nil
}

// listRoot lists the narinfos and their listings. In the order of keys the
// listing of a path comes before its narinfo.
func (s *survey) listRoot(ctx context.Context, b blob.Bucket) (int64, error) {
	var ls blob.Attrs // the last listing, while its narinfo may follow
	lsHash := ""
	lonely := func() {
		if lsHash != "" {
			s.orphaned = append(s.orphaned, lsHash)
		}
		lsHash = ""
	}
	n, err := list(ctx, b, blob.ListOptions{Shallow: true}, func(a blob.Attrs) {
		if a.Key == layout.CacheInfoKey {
			s.described = true
			return
		}
		if hashPart, ok := layout.ParseListingKey(a.Key); ok {
			lonely()
			ls, lsHash = a, hashPart
			return
		}
		hashPart, ok := layout.ParseNarInfoKey(a.Key)
		if !ok {
			return
		}
		p := listedPath{
			hashPart: hashPart, state: stateOf(a), modified: unix(a.ModTime), written: a.ModTime.UnixNano(),
			narInfo: a.Size, digest: digestOf(a), listing: -1, by: -1,
		}
		if lsHash == hashPart {
			p.state ^= stateOf(ls)
			p.modified = max(p.modified, unix(ls.ModTime))
			p.listing = ls.Size
			lsHash = ""
		}
		lonely()
		s.paths = append(s.paths, p)
	})
	lonely()
	return n, err
}

// list calls f for every object that the options select, and returns how many
// LIST requests that takes.
func list(ctx context.Context, b blob.Bucket, opts blob.ListOptions, f func(blob.Attrs)) (lists int64, err error) {
	n := int64(0)
	for a, err := range b.List(ctx, opts) {
		if err != nil {
			if errors.Is(err, blob.ErrNotFound) {
				break // a directory that is not there yet
			}
			return 0, err
		}
		n++
		f(a)
	}
	return max(1, (n+pageSize-1)/pageSize), nil
}

// stateOf returns a number that changes when the object does.
func stateOf(a blob.Attrs) uint64 {
	return hash(a.Key+"\x00"+a.ETag, uint64(a.Size)^uint64(unix(a.ModTime))<<20)
}

// digestOf returns a hash of the MD5 that servers give as the ETag of an object
// that was not uploaded in parts, or 0.
func digestOf(a blob.Attrs) uint64 {
	md5, err := hex.DecodeString(strings.Trim(a.ETag, `"`))
	if err != nil || len(md5) != 16 {
		return 0
	}
	return hash(string(md5), 0) | 1
}

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// path returns the index of the path with a hash part, or -1.
func (s *survey) path(hashPart string) int {
	i, ok := slices.BinarySearchFunc(s.paths, hashPart, func(p listedPath, hashPart string) int {
		return strings.Compare(p.hashPart, hashPart)
	})
	if !ok {
		return -1
	}
	return i
}

// archive returns the archive with a key, or nil.
func (s *survey) archive(key string) *listedArchive {
	i := sort.Search(len(s.archives), func(i int) bool { return s.archives[i].key >= key })
	if i < len(s.archives) && s.archives[i].key == key {
		return &s.archives[i]
	}
	return nil
}

// hasListings reports whether the cache is meant to have a listing for each
// path: more than half of the paths have one.
func (s *survey) hasListings() bool {
	n := 0
	for i := range s.paths {
		if s.paths[i].listing >= 0 {
			n++
		}
	}
	return 2*n > len(s.paths)
}
