package store_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/storetest"
)

func newKey(t testing.TB, name string) narinfo.SecretKey {
	t.Helper()
	key, err := narinfo.GenerateKey(name, nil)
	require.NoError(t, err)
	return key
}

func add(t testing.TB, c store.BinaryCacheStore, o object, opts store.AddOptions) *narinfo.NarInfo {
	t.Helper()
	info, err := c.Add(t.Context(), o.info, bytes.NewReader(o.archive), opts)
	require.NoError(t, err)
	return info
}

func TestAddComputesWhatIsNotClaimed(t *testing.T) {
	o := newObject(t, 1, []byte("some text"))
	claims := o.info.Clone()
	claims.NarHash, claims.NarSize = nixhash.Hash{}, 0
	b := memblob.New()
	got, err := newCache(t, b, store.Settings{}).Add(t.Context(), claims, bytes.NewReader(o.archive), store.AddOptions{})
	require.NoError(t, err)
	require.Equal(t, o.info.NarHash, got.NarHash)
	require.Equal(t, o.info.NarSize, got.NarSize)
	require.True(t, claims.NarHash.IsZero(), "the caller's own PathInfo was changed")
	requireSound(t, b)
}

func TestAddRefusesMissingReferences(t *testing.T) {
	b := memblob.New()
	c := newCache(t, b, store.Settings{})
	missing := madeUpPath(9, "missing")
	o := newObject(t, 1, []byte("x"), missing)
	archive := bytes.NewReader(o.archive)
	_, err := c.Add(t.Context(), o.info, archive, store.AddOptions{})
	require.ErrorIs(t, err, store.ErrMissingReference)
	var missingErr *store.MissingReferenceError
	require.ErrorAs(t, err, &missingErr)
	require.Equal(t, []storepath.Path{missing}, missingErr.References)
	require.Contains(t, err.Error(), "copy the closure")
	require.Equal(t, len(o.archive), archive.Len(), "the archive was read for nothing")
	require.Zero(t, requireSound(t, b).Archives)

	pending, err := c.Prepare(t.Context(), o.info, archive, store.AddOptions{})
	require.NoError(t, err)
	require.ErrorIs(t, pending.Publish(t.Context()), store.ErrMissingReference)
	add(t, c, object{with2(o.info, missing), o.archive}, store.AddOptions{})
	require.NoError(t, pending.Publish(t.Context()))
	requireSound(t, b)
}

// with2 is the info of the same contents under another path.
func with2(info *narinfo.PathInfo, p storepath.Path) *narinfo.PathInfo {
	c := info.Clone()
	c.Path, c.References = p, nil
	return c
}

func TestAddIsDoneOnce(t *testing.T) {
	b := storetest.NewFaultBucket(memblob.New(), nil)
	c := newCache(t, b, store.Settings{})
	o := newObject(t, 1, []byte("the same for all"))
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { add(t, c, o, store.AddOptions{}) })
	}
	wg.Wait()
	require.Equal(t, 3, b.Count("Put"), "nix-cache-info, archive and narinfo")
	before := b.Count("Put")
	add(t, c, o, store.AddOptions{Repair: true})
	require.Equal(t, before+2, b.Count("Put"), "a repair sends archive and narinfo again")
}

func TestRepairReplacesWhatIsBroken(t *testing.T) {
	b := memblob.New()
	c := newCache(t, b, store.Settings{})
	o := newObject(t, 1, bytes.Repeat([]byte("0123456789"), 100))
	info := add(t, c, o, store.AddOptions{})
	_, err := b.Put(t.Context(), info.URL, strings.NewReader("rubbish"), blob.PutOptions{})
	require.NoError(t, err)
	add(t, c, o, store.AddOptions{})
	_, err = storetest.CheckCache(t.Context(), b, storetest.CheckOptions{})
	require.Error(t, err, "a path that is there is not looked at")
	add(t, c, o, store.AddOptions{Repair: true})
	requireSound(t, b)
}

// TestHalfWrittenArchiveIsReplaced finds, under the key of the archive that it
// adds, one that somebody cut off.
func TestHalfWrittenArchiveIsReplaced(t *testing.T) {
	for _, size := range []int{100, 200 << 10} {
		o := independent(t, 1, size)[0]
		b := memblob.New()
		info := add(t, newCache(t, memblob.New(), store.Settings{}), o, store.AddOptions{})
		_, err := b.Put(t.Context(), info.URL, bytes.NewReader(o.archive[:50]), blob.PutOptions{})
		require.NoError(t, err)
		add(t, newCache(t, b, store.Settings{}), o, store.AddOptions{})
		requireSound(t, b)
	}
}

func TestSignaturesAndTrust(t *testing.T) {
	b := memblob.New()
	first, second, stranger := newKey(t, "first-1"), newKey(t, "second-1"), newKey(t, "stranger-1")
	c := newCache(t, b, store.Settings{Signers: []narinfo.Signer{first}})
	o := newObject(t, 1, []byte("signed"))
	add(t, c, o, store.AddOptions{Signers: []narinfo.Signer{second}})

	for name, tc := range map[string]struct {
		keys    narinfo.TrustedKeys
		trusted bool
		ok      bool
	}{
		"no keys":             {nil, false, true},
		"the cache's key":     {narinfo.TrustedKeys{first.Public()}, false, true},
		"the caller's key":    {narinfo.TrustedKeys{stranger.Public(), second.Public()}, false, true},
		"a stranger's key":    {narinfo.TrustedKeys{stranger.Public()}, false, false},
		"trusted all the way": {narinfo.TrustedKeys{stranger.Public()}, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			log := storetest.NewFaultBucket(b, nil)
			r, err := newCache(t, log, store.Settings{TrustedKeys: tc.keys, Trusted: tc.trusted}).NAR(t.Context(), o.info.Path)
			if tc.ok {
				require.NoError(t, err)
				require.NoError(t, r.Close())
				return
			}
			require.ErrorIs(t, err, store.ErrUntrusted)
			for _, op := range log.Log() {
				require.NotContains(t, op.Key, "nar/", "fetched before it was trusted")
			}
		})
	}

	t.Run("added later, by several at once", func(t *testing.T) {
		var wg sync.WaitGroup
		for _, name := range []string{"a-1", "b-1", "c-1", "d-1"} {
			key := newKey(t, name)
			wg.Go(func() {
				_, err := c.AddSignatures(t.Context(), o.info.Path, key)
				require.NoError(t, err)
			})
		}
		wg.Wait()
		info, err := c.NarInfo(t.Context(), o.info.Path)
		require.NoError(t, err)
		require.Len(t, info.Signatures, 6)
	})
}

func TestSmallObjectsEncoded(t *testing.T) {
	for _, name := range []string{"br", "zstd", "gzip", "xz"} {
		t.Run(name, func(t *testing.T) {
			b := memblob.New()
			s := store.Settings{WriteListing: true, NarInfoCompression: name, ListingCompression: name, LogCompression: name}
			c := newCache(t, b, s)
			o := newObject(t, 1, []byte("x"))
			add(t, c, o, store.AddOptions{})
			drv := madeUpPath(5, "some.drv")
			require.NoError(t, c.PutLog(t.Context(), drv, strings.NewReader("the log")))
			for _, key := range []string{o.info.Path.HashPart() + ".narinfo", o.info.Path.HashPart() + ".ls", "log/" + drv.String()} {
				attrs, err := b.Head(t.Context(), key)
				require.NoError(t, err)
				require.Equal(t, name, attrs.ContentEncoding, key)
				if name == "br" {
					continue // has no signature to be known by
				}
				// A server that loses the header.
				data, _, err := blob.ReadAll(t.Context(), b, key, 1<<20)
				require.NoError(t, err)
				_, err = b.Put(t.Context(), key, bytes.NewReader(data), blob.PutOptions{})
				require.NoError(t, err)
			}
			_, err := c.NarInfo(t.Context(), o.info.Path)
			require.NoError(t, err)
			_, err = c.Listing(t.Context(), o.info.Path)
			require.NoError(t, err)
			r, err := c.Log(t.Context(), drv)
			require.NoError(t, err)
			defer r.Close()
			text, err := io.ReadAll(r)
			require.NoError(t, err)
			require.Equal(t, "the log", string(text))
		})
	}
}

func TestDeleteMakesInvisible(t *testing.T) {
	b := memblob.New()
	c := newCache(t, b, store.Settings{WriteListing: true, PathInfoCacheSize: 10})
	o := newObject(t, 1, []byte("x"))
	add(t, c, o, store.AddOptions{})
	has, err := c.Has(t.Context(), o.info.Path)
	require.NoError(t, err)
	require.True(t, has)
	require.NoError(t, c.Delete(t.Context(), o.info.Path))
	has, err = c.Has(t.Context(), o.info.Path)
	require.NoError(t, err)
	require.False(t, has)
	require.Equal(t, 1, requireSound(t, b).Unreferenced)
}

func TestNarInfosAreRememberedWhenAsked(t *testing.T) {
	for size, want := range map[int]int{0: 3, 10: 1} {
		b := storetest.NewFaultBucket(memblob.New(), nil)
		c := newCache(t, b, store.Settings{PathInfoCacheSize: size})
		o := newObject(t, 1, []byte("x"))
		add(t, c, o, store.AddOptions{})
		b.ResetLog()
		for range 3 {
			_, err := c.NarInfo(t.Context(), o.info.Path)
			require.NoError(t, err)
		}
		require.Equal(t, want, b.Count("Get"))
	}
}

func TestArchivesAsFileSystems(t *testing.T) {
	kept := t.TempDir()
	b := memblob.New()
	tree := someTree(t)
	added, err := store.AddPath(t.Context(), newCache(t, b, store.Settings{}), tree, store.AddPathOptions{Name: "tree"})
	require.NoError(t, err)
	for _, dir := range []string{"", kept, kept} {
		log := storetest.NewFaultBucket(b, nil)
		c := newCache(t, log, store.Settings{LocalNARCache: dir, SpoolDir: t.TempDir()})
		a, err := c.FS(t.Context(), added.Path)
		require.NoError(t, err)
		text, err := fs.ReadFile(a, "bin/hi")
		require.NoError(t, err)
		require.Equal(t, "#!/bin/sh\necho hello\n", string(text))
		require.NoError(t, a.Close())
	}
	name := filepath.Join(kept, added.NarHash.Nix32()+".nar")
	require.FileExists(t, name)

	require.NoError(t, os.WriteFile(name, []byte("rubbish"), 0o644))
	log := storetest.NewFaultBucket(b, nil)
	a, err := newCache(t, log, store.Settings{LocalNARCache: kept}).FS(t.Context(), added.Path)
	require.NoError(t, err, "what is kept and broken is fetched again")
	require.NoError(t, a.Close())
	require.Equal(t, 3, log.Count("Get"), "nix-cache-info, narinfo and archive")
}

// TestCancellingReturns cancels while the bucket does nothing.
func TestCancellingReturns(t *testing.T) {
	o := newObject(t, 1, bytes.Repeat([]byte("x"), 1<<20))
	src, _ := fill(t, []object{o}, store.Settings{})
	storetest.NoLeaks(t)
	for index := range 6 {
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("had enough")
		b := storetest.NewFaultBucket(memblob.New(), storetest.FailAt(index, storetest.Fault{Kind: "hang"}))
		time.AfterFunc(time.Millisecond, func() { cancel(why) })
		_, err := store.Copy(ctx, newCache(t, b, store.Settings{}), src, []storepath.Path{o.info.Path}, store.CopyOptions{})
		if b.Count() > index {
			require.ErrorIs(t, err, why)
		}
		cancel(nil)
	}
}

// TestAbandonedReaders opens archives and closes them unread or half read.
func TestAbandonedReaders(t *testing.T) {
	o := newObject(t, 1, bytes.Repeat([]byte("0123456789abcdef"), 1<<17))
	src, _ := fill(t, []object{o}, store.Settings{})
	storetest.NoLeaks(t)
	for i := range 200 {
		r, err := src.NAR(t.Context(), o.info.Path)
		require.NoError(t, err)
		_, err = io.CopyN(io.Discard, r, int64(i)*1000)
		require.NoError(t, err)
		require.NoError(t, r.Close())
	}
}

func TestAddPathFindsReferences(t *testing.T) {
	b := memblob.New()
	c := newCache(t, b, store.Settings{})
	var known []storepath.Path
	for n := range uint64(4) {
		o := newObject(t, n, []byte("x"))
		add(t, c, o, store.AddOptions{})
		known = append(known, o.info.Path)
	}
	tree := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(tree, "text"), []byte("run "+storepath.Default.Join(known[1])+"/bin/x"), 0o644))
	require.NoError(t, os.Symlink(storepath.Default.Join(known[2]), filepath.Join(tree, "link")))
	leaf := filepath.Join(tree, "leaf")
	require.NoError(t, os.WriteFile(leaf, []byte("none"), 0o644))
	file := filepath.Join(tree, "text")

	for _, tt := range []struct {
		name       string
		path       string
		opts       store.AddPathOptions
		references []storepath.Path
	}{
		{"not asked", tree, store.AddPathOptions{}, nil},
		{"in a file and a link", tree, store.AddPathOptions{FindReferences: known}, known[1:3]},
		{"none", leaf, store.AddPathOptions{FindReferences: known}, nil},
		{"beside those that are given", tree, store.AddPathOptions{References: []storepath.Path{known[2], known[0]}, FindReferences: known}, known[:3]},
		{"of some", tree, store.AddPathOptions{FindReferences: []storepath.Path{known[3], known[1], known[1]}}, known[1:2]},
		{"flat, none", leaf, store.AddPathOptions{Method: storepath.MethodFlat, FindReferences: known}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.opts.Name = "found"
			info, err := store.AddPath(t.Context(), c, tt.path, tt.opts)
			require.NoError(t, err)
			require.ElementsMatch(t, tt.references, info.References)
			expected, err := storepath.Default.FromContentAddress("found", info.CA, storepath.References{Others: tt.references})
			require.NoError(t, err)
			require.Equal(t, expected, info.Path)
		})
	}
	_, err := store.AddPath(t.Context(), c, file, store.AddPathOptions{Method: storepath.MethodFlat, FindReferences: known})
	require.ErrorContains(t, err, "allows no references")
	_, err = store.AddPath(t.Context(), c, tree, store.AddPathOptions{FindReferences: []storepath.Path{madeUpPath(9, "other"), known[1]}})
	require.NoError(t, err)
	requireSound(t, b)
}
