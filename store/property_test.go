package store_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/nar"
	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/storetest"
)

// object is a store object of a made-up graph.
type object struct {
	info    *narinfo.PathInfo
	archive []byte
}

// fileNAR is the archive of a file.
func fileNAR(t testing.TB, text []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := nar.NewWriter(&buf)
	require.NoError(t, w.WriteHeader(&nar.Header{Type: nar.TypeRegular, Size: int64(len(text))}))
	_, err := w.Write(text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return buf.Bytes()
}

func madeUpPath(n uint64, name string) storepath.Path {
	seed := binary.BigEndian.AppendUint64([]byte("made up "), n)
	digest := nixhash.Sum(nixhash.SHA256, seed).Digest()[:20]
	p, err := storepath.ParseBase(nixhash.EncodeNix32(digest) + "-" + name)
	if err != nil {
		panic(err)
	}
	return p
}

// newObject makes an object whose contents mention what it refers to.
func newObject(t testing.TB, n uint64, text []byte, refs ...storepath.Path) object {
	t.Helper()
	archive := fileNAR(t, text)
	return object{archive: archive, info: &narinfo.PathInfo{
		StoreDir: storepath.Default, Path: madeUpPath(n, fmt.Sprintf("object-%d", n)), References: refs,
		NarHash: nixhash.Sum(nixhash.SHA256, archive), NarSize: int64(len(archive)),
	}}
}

// randomGraph makes n objects in an order in which references come first:
// chains, diamonds, fans, references to themselves, contents that several share.
func randomGraph(t testing.TB, rng *rand.Rand, n int) []object {
	t.Helper()
	objects := make([]object, 0, n)
	base := rng.Uint64()
	shape := rng.IntN(4)
	for i := range n {
		var refs []storepath.Path
		switch {
		case i == 0:
		case shape == 0: // a chain
			refs = append(refs, objects[i-1].info.Path)
		case shape == 1: // a fan: all refer to the first, the last to all
			refs = append(refs, objects[0].info.Path)
			if i == n-1 {
				refs = nil
				for _, o := range objects {
					refs = append(refs, o.info.Path)
				}
			}
		case shape == 2: // diamonds
			for j := max(0, i-1-i%3); j < i; j++ {
				refs = append(refs, objects[j].info.Path)
			}
		default:
			for range rng.IntN(4) {
				refs = append(refs, objects[rng.IntN(i)].info.Path)
			}
		}
		id := base + uint64(i)
		if rng.IntN(3) == 0 {
			refs = append(refs, madeUpPath(id, fmt.Sprintf("object-%d", id)))
		}
		text := bytes.Repeat(binary.BigEndian.AppendUint64(nil, base+uint64(rng.IntN(n))), 1+rng.IntN(40))
		if i%7 == 3 {
			text = make([]byte, 80<<10) // over the size from which on the cache is asked first
			for k := range text {
				text[k] = byte(rng.Uint32())
			}
		}
		objects = append(objects, newObject(t, id, text, refs...))
	}
	return objects
}

// fill adds objects to a cache of its own.
func fill(t testing.TB, objects []object, settings store.Settings) (*store.Cache, blob.Bucket) {
	t.Helper()
	b := memblob.New()
	c, err := store.New(b, settings)
	require.NoError(t, err)
	for _, o := range objects {
		_, err := c.Add(t.Context(), o.info, bytes.NewReader(o.archive), store.AddOptions{})
		require.NoError(t, err)
	}
	return c, b
}

func paths(objects []object) []storepath.Path {
	var ps []storepath.Path
	for _, o := range objects {
		ps = append(ps, o.info.Path)
	}
	return ps
}

func newCache(t testing.TB, b blob.Bucket, s store.Settings) *store.Cache {
	t.Helper()
	c, err := store.New(b, s)
	require.NoError(t, err)
	return c
}

func requireSound(t testing.TB, b blob.Bucket) storetest.CheckReport {
	t.Helper()
	report, err := storetest.CheckCache(context.Background(), b, storetest.CheckOptions{})
	require.NoError(t, err)
	return report
}

// requireFinishes runs the copy again and requires that it completes the cache
// and sends nothing that is there.
func requireFinishes(t testing.TB, b *memblob.Bucket, src store.Source, objects []object) {
	t.Helper()
	before := map[string]bool{}
	for attrs, err := range b.List(t.Context(), blob.ListOptions{}) {
		require.NoError(t, err)
		before[attrs.Key] = true
	}
	log := storetest.NewFaultBucket(b, nil)
	_, err := store.Copy(t.Context(), newCache(t, log, store.Settings{}), src, paths(objects), store.CopyOptions{})
	require.NoError(t, err)
	require.Equal(t, len(objects), requireSound(t, b).Paths)
	for _, op := range log.Log() {
		if op.Op == "Put" && before[op.Key] {
			// A small archive is sent on condition that it is not there.
			require.ErrorIs(t, op.Err, blob.ErrPrecondition, op.Key)
			require.Less(t, op.Size, int64(64<<10), op.Key)
		}
	}
}

var faults = map[string]storetest.Fault{
	"refused":   {Kind: "error"},
	"lost":      {Kind: "lost"},
	"reset":     {Kind: "reset", After: 30},
	"truncated": {Kind: "truncate", After: 30},
	"cut short": {Kind: "lie", After: 30},
	"corrupt":   {Kind: "corrupt", After: 30},
	"hung":      {Kind: "hang"},
	"killed":    {Kind: "error"},
}

// TestCopySurvivesFaults copies random graphs with a fault at each operation in
// turn, of the destination and of the source, and requires after each that the
// cache is sound and a second copy finishes it.
func TestCopySurvivesFaults(t *testing.T) {
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 1))
		objects := randomGraph(t, rng, []int{1, 3, 6, 9}[seed])
		src, srcBucket := fill(t, objects, store.Settings{})
		for name, fault := range faults {
			for _, side := range []string{"destination", "source"} {
				t.Run(fmt.Sprintf("graph %d, %s of the %s", seed, name, side), func(t *testing.T) {
					for index := 0; ; index++ {
						// What hangs does so until somebody cancels.
						ctx, cancel := context.WithCancel(t.Context())
						plan := storetest.FailAt(index, fault)
						if name == "killed" {
							plan = storetest.FailFrom(index, fault)
						}
						at := func(op storetest.Operation) storetest.Fault {
							if op.Index == index && fault.Kind == "hang" {
								cancel()
							}
							return plan(op)
						}
						dst, from := memblob.New(), src
						faulty := storetest.NewFaultBucket(dst, at)
						target := newCache(t, faulty, store.Settings{})
						if side == "source" {
							faulty = storetest.NewFaultBucket(srcBucket, at)
							from, target = newCache(t, faulty, store.Settings{}), newCache(t, dst, store.Settings{})
						}
						_, err := store.Copy(ctx, target, from, paths(objects), store.CopyOptions{KeepGoing: index%2 == 1})
						cancel()
						requireSound(t, dst)
						requireFinishes(t, dst, src, objects)
						if len(faulty.Log()) <= index {
							require.NoError(t, err)
							return
						}
					}
				})
			}
		}
	}
}

// TestWritersRace copies one big graph with several writers at once, of which
// one is killed at a random operation.
func TestWritersRace(t *testing.T) {
	for seed, size := range []int{40, 300, 2000} {
		t.Run(fmt.Sprintf("%d paths", size), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(seed), 2))
			objects := randomGraph(t, rng, size)
			src, _ := fill(t, objects, store.Settings{Compression: "none"})
			dst := memblob.New()
			kill := rng.IntN(2 * size)
			var wg sync.WaitGroup
			errs := make([]error, 3)
			for i := range errs {
				plan := storetest.FailFrom(kill, storetest.Fault{Kind: "error"})
				if i > 0 {
					plan = nil
				}
				target := newCache(t, storetest.NewFaultBucket(dst, plan), store.Settings{})
				wg.Go(func() {
					_, errs[i] = store.Copy(t.Context(), target, src, paths(objects), store.CopyOptions{})
				})
			}
			wg.Wait()
			require.NoError(t, errors.Join(errs[1:]...))
			require.Equal(t, size, requireSound(t, dst).Paths)
			requireFinishes(t, dst, src, objects)
		})
	}
}

func TestCopyRefusesCircles(t *testing.T) {
	a, b := madeUpPath(1, "object-1"), madeUpPath(2, "object-2")
	circle := []object{newObject(t, 1, []byte("a"), b), newObject(t, 2, []byte("b"), a)}
	bucket := memblob.New()
	c := newCache(t, bucket, store.Settings{})
	for _, o := range circle {
		_, err := c.Add(t.Context(), o.info, bytes.NewReader(o.archive), store.AddOptions{ReferencesPresent: true})
		require.NoError(t, err)
	}
	dst := memblob.New()
	_, err := store.Copy(t.Context(), newCache(t, dst, store.Settings{}), c, []storepath.Path{a}, store.CopyOptions{})
	require.ErrorIs(t, err, store.ErrCycle)
	require.True(t, strings.Contains(err.Error(), "object-"), err)
	require.Zero(t, requireSound(t, dst).Archives)
}
