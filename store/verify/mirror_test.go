package verify_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/gc"
	"example.com/nixs3/store/internal/lab"
	"example.com/nixs3/store/layout"
	"example.com/nixs3/store/storetest"
	"example.com/nixs3/store/storetest/fakes3"
	"example.com/nixs3/store/verify"
)

// mirrored is what a mirror of a cache of the corpus has: all but the listing
// of a path with names that are not UTF-8, which only old Nix writes.
func mirrored(t *testing.T, c *store.Cache) map[string]string {
	t.Helper()
	want := contentsOf(t, c.Bucket())
	for key := range want {
		if hashPart, ok := layout.ParseListingKey(key); ok {
			l, err := c.Listing(t.Context(), infoByHash(t, c, hashPart).Path)
			require.NoError(t, err)
			if _, err := l.MarshalJSON(); err != nil {
				delete(want, key)
			}
		}
	}
	return want
}

func infoByHash(t *testing.T, c *store.Cache, hashPart string) *narinfo.NarInfo {
	t.Helper()
	info, err := c.NarInfoByHash(t.Context(), hashPart)
	require.NoError(t, err)
	return info
}

func TestMirrorIsEqual(t *testing.T) {
	for _, name := range corpus {
		t.Run(name, func(t *testing.T) {
			src, b := corpusCache(t, name), &counting{Bucket: memblob.New()}
			dst := newCache(t, b, one)
			r, err := verify.Mirror(t.Context(), dst, src, verify.MirrorOptions{TrustedKeys: corpusKeys(t)})
			require.NoError(t, err)
			want := mirrored(t, src)
			require.Equal(t, keysOf(want), keysOf(contentsOf(t, b)))
			require.Equal(t, want, contentsOf(t, b))
			require.Equal(t, r.Paths, r.Changed)
			require.Empty(t, r.Removed)
			_, err = storetest.CheckCache(t.Context(), b, storetest.CheckOptions{})
			require.NoError(t, err)

			// With nothing to do, both are listed and nothing is read but their
			// descriptions, and the path whose listing nobody can write.
			from := &counting{Bucket: src.Bucket()}
			b.gets, b.heads = 0, 0
			again, err := verify.Mirror(t.Context(), dst, newCache(t, from, one), verify.MirrorOptions{})
			require.NoError(t, err)
			require.Zero(t, again.Changed)
			require.Equal(t, again.Paths, again.Unchanged)
			require.LessOrEqual(t, from.gets, 1)
			require.LessOrEqual(t, b.gets, 3)
		})
	}
}

func keysOf(m map[string]string) map[string]bool {
	keys := map[string]bool{}
	for key := range maps.Keys(m) {
		keys[key] = true
	}
	return keys
}

func TestMirrorCompletesWhatIsThere(t *testing.T) {
	src := corpusCache(t, "full-xz")
	want := mirrored(t, src)
	for _, kind := range []layout.Kind{layout.NarInfo, layout.Listing, layout.Log, layout.Realisation, layout.DebugInfo} {
		t.Run(kind.String(), func(t *testing.T) {
			b := memblob.New()
			for key, data := range want {
				if layout.KindOf(key) != kind {
					put(t, b, key, []byte(data))
				}
			}
			r, err := verify.Mirror(t.Context(), newCache(t, b), src, verify.MirrorOptions{})
			require.NoError(t, err)
			require.Equal(t, want, contentsOf(t, b))
			require.NotEmpty(t, r.Keys)
		})
	}
}

// TestMirrorCarriesLaterSignatures signs at the source what is mirrored already.
func TestMirrorCarriesLaterSignatures(t *testing.T) {
	for name, roots := range map[string]bool{"everything": false, "roots": true} {
		t.Run(name, func(t *testing.T) {
			src, dst := corpusCache(t, "zstd"), corpusCache(t, "zstd")
			root := infoOf(t, src.Bucket(), referrer).Path
			opts := verify.MirrorOptions{TrustedKeys: corpusKeys(t)}
			if roots {
				opts.Roots = []storepath.Path{root}
			}
			first, second, own := newKey(t, "first-1"), newKey(t, "second-1"), newKey(t, "own-1")
			sign(t, src, root, first)
			sign(t, dst, root, own)
			sign(t, src, root, second)

			dry := opts
			dry.DryRun = true
			before := contentsOf(t, dst.Bucket())
			r, err := verify.Mirror(t.Context(), dst, src, dry)
			require.NoError(t, err)
			require.Equal(t, 1, r.Changed)
			require.Equal(t, before, contentsOf(t, dst.Bucket()))

			r, err = verify.Mirror(t.Context(), dst, src, opts)
			require.NoError(t, err)
			require.Equal(t, 1, r.Changed)
			require.Equal(t, 1, r.Signed)
			require.Equal(t, r.Paths-1, r.Unchanged)
			require.Equal(t, []string{layout.NarInfoKey(root.HashPart())}, r.Keys)
			require.Subset(t, signaturesOf(t, dst, root), []string{"first-1", "second-1", "own-1"})

			r, err = verify.Mirror(t.Context(), dst, src, opts)
			require.NoError(t, err)
			require.Zero(t, r.Changed)
		})
	}
}

func sign(t *testing.T, c *store.Cache, p storepath.Path, key narinfo.SecretKey) {
	t.Helper()
	_, err := c.AddSignatures(t.Context(), p, key)
	require.NoError(t, err)
}

func TestMirrorSignsNothingElse(t *testing.T) {
	src, dst := corpusCache(t, "zstd"), corpusCache(t, "zstd")
	info := infoOf(t, dst.Bucket(), hello)
	info.Deriver = path("00000000000000000000000000000000-x.drv")
	info.NarSize++ // other contents under the path
	text, err := info.MarshalText()
	require.NoError(t, err)
	put(t, dst.Bucket(), infoKey(info), text)
	sign(t, src, info.Path, newKey(t, "later-1"))
	untrusted := infoOf(t, src.Bucket(), referrer)
	untrusted.Signatures = nil
	text, err = untrusted.MarshalText()
	require.NoError(t, err)
	put(t, src.Bucket(), infoKey(untrusted), text)
	sign(t, src, untrusted.Path, newKey(t, "stranger-1"))
	before := contentsOf(t, dst.Bucket())

	r, err := verify.Mirror(t.Context(), dst, src, verify.MirrorOptions{TrustedKeys: corpusKeys(t)})
	require.ErrorIs(t, err, narinfo.ErrUntrusted)
	require.Len(t, r.Failed, 1)
	require.Equal(t, untrusted.Path, r.Failed[0].Path)
	require.Len(t, r.Skipped, 1)
	require.ErrorIs(t, r.Skipped[0], store.ErrMismatch)
	require.Equal(t, before, contentsOf(t, dst.Bucket()))
}

// TestMirrorReadsOnlyWhatMayDiffer counts what a server with MD5s in its ETags
// is asked for.
func TestMirrorReadsOnlyWhatMayDiffer(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", fakes3.DefaultCredentials.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", fakes3.DefaultCredentials.SecretKey)
	s3 := storetest.NewS3(t, fakes3.Options{Buckets: []string{"source", "mirror"}})
	for key, data := range contentsOf(t, corpusCache(t, "zstd").Bucket()) {
		s3.PutObject("mirror", key, []byte(data), nil)
		s3.PutObject("source", key, []byte(data), nil)
	}
	query := "?region=" + s3.Region() + "&endpoint=" + url.QueryEscape(s3.Endpoint())
	src, dst := openServer(t, "s3://source"+query), openServer(t, "s3://mirror"+query)
	root := infoOf(t, src.Bucket(), referrer).Path
	mirror := func() (gets int) {
		before := s3.Count("GetObject")
		_, err := verify.Mirror(t.Context(), dst, src, verify.MirrorOptions{})
		require.NoError(t, err)
		return s3.Count("GetObject") - before
	}
	idle := mirror()
	require.LessOrEqual(t, idle, 4)
	sign(t, src, root, newKey(t, "later-1"))
	require.LessOrEqual(t, mirror(), idle+6)
	require.Contains(t, signaturesOf(t, dst, root), "later-1")
}

func TestMirrorOfRoots(t *testing.T) {
	src, b := corpusCache(t, "full-xz"), memblob.New()
	root := infoOf(t, src.Bucket(), referrer)
	_, err := verify.Mirror(t.Context(), newCache(t, b), src, verify.MirrorOptions{Roots: []storepath.Path{root.Path}})
	require.NoError(t, err)
	got, all := contentsOf(t, b), contentsOf(t, src.Bucket())
	paths := 0
	for key, data := range got {
		require.Equal(t, all[key], data, key)
		if layout.KindOf(key) == layout.NarInfo {
			paths++
		}
	}
	require.Equal(t, 2, paths)
	require.Contains(t, got, layout.LogKey(root.Deriver))
	require.Contains(t, got, listKey(root))
	realisations := 0
	for key := range got {
		if layout.KindOf(key) == layout.Realisation {
			realisations++
		}
	}
	require.Equal(t, 2, realisations)
}

func TestMirrorOfAWebServer(t *testing.T) {
	server := httptest.NewServer(http.FileServer(http.Dir(lab.Cache(t, "full-xz"))))
	defer server.Close()
	src, err := store.Open(t.Context(), server.URL)
	require.NoError(t, err)
	defer src.Close()
	b := memblob.New()
	root := infoOf(t, corpusCache(t, "full-xz").Bucket(), referrer)
	_, err = verify.Mirror(t.Context(), newCache(t, b), src, verify.MirrorOptions{Roots: []storepath.Path{root.Path}})
	require.NoError(t, err)
	require.Contains(t, contentsOf(t, b), layout.LogKey(root.Deriver))
	_, err = verify.Mirror(t.Context(), newCache(t, b), src, verify.MirrorOptions{})
	require.ErrorIs(t, err, errors.ErrUnsupported)
}

func TestMirrorTellsWhatWasRemoved(t *testing.T) {
	src, b := corpusCache(t, "zstd"), corpusCache(t, "zstd").Bucket()
	info := infoOf(t, src.Bucket(), "env")
	require.NoError(t, src.Bucket().Delete(t.Context(), infoKey(info), listKey(info)))
	before := contentsOf(t, b)
	r, err := verify.Mirror(t.Context(), newCache(t, b), src, verify.MirrorOptions{})
	require.NoError(t, err)
	require.Equal(t, []storepath.Path{info.Path}, r.Removed)
	require.Equal(t, before, contentsOf(t, b))

	_, err = verify.Mirror(t.Context(), newCache(t, b), newCache(t, memblob.New()), verify.MirrorOptions{})
	require.ErrorContains(t, err, "has no paths")
}

func TestMirrorRefusesWhatIsNotTrusted(t *testing.T) {
	b := memblob.New()
	keys := narinfo.TrustedKeys{newKey(t, "stranger-1").Public()}
	r, err := verify.Mirror(t.Context(), newCache(t, b), corpusCache(t, "zstd"), verify.MirrorOptions{TrustedKeys: keys})
	require.ErrorIs(t, err, narinfo.ErrUntrusted)
	require.NotEmpty(t, r.Failed)
	for key := range contentsOf(t, b) {
		if hashPart, ok := layout.ParseNarInfoKey(key); ok {
			require.False(t, infoByHash(t, newCache(t, b), hashPart).CA.IsZero(), "only what its content address stands for")
		}
	}
}

func TestMirrorResumes(t *testing.T) {
	src := corpusCache(t, "full-xz")
	want := mirrored(t, src)
	b := memblob.New()
	puts := 0
	for limit := 5; ; limit += 5 {
		puts = 0
		failing := blob.Intercept(b, func(ctx context.Context, call *blob.Call, do func(context.Context) error) error {
			if call.Op == "Put" || call.Op == "Commit" {
				if puts++; puts > limit {
					return &blob.Error{Op: call.Op, Key: call.Key, Err: errors.New("the disk is full")}
				}
			}
			return do(ctx)
		})
		_, err := verify.Mirror(t.Context(), newCache(t, failing, one), src, verify.MirrorOptions{})
		_, cerr := storetest.CheckCache(t.Context(), b, storetest.CheckOptions{})
		require.NoError(t, cerr)
		if err == nil {
			break
		}
		require.Less(t, limit, 500)
	}
	require.Equal(t, want, contentsOf(t, b))
}

func TestMirrorIsHeldToABandwidth(t *testing.T) {
	src := corpusCache(t, "none")
	var size int64
	for key, data := range contentsOf(t, src.Bucket()) {
		if k := layout.KindOf(key); k == layout.Archive || k == layout.NarInfo {
			size += int64(len(data))
		}
	}
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, err := verify.Mirror(t.Context(), newCache(t, memblob.New()), src, verify.MirrorOptions{BytesPerSecond: size / 10})
		require.NoError(t, err)
		require.InDelta(t, 10, time.Since(start).Seconds(), 4)
	})
}

func TestMirrorDryRun(t *testing.T) {
	b := memblob.New()
	r, err := verify.Mirror(t.Context(), newCache(t, b), corpusCache(t, "full-xz"), verify.MirrorOptions{DryRun: true})
	require.NoError(t, err)
	require.Equal(t, 47, r.Changed)
	require.Empty(t, r.Keys)
	require.Empty(t, contentsOf(t, b))
}

func TestMirrorHidesWhatWasRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, dst := corpusCache(t, "none"), corpusCache(t, "none")
		info := infoOf(t, src.Bucket(), "env")
		require.NoError(t, src.Bucket().Delete(t.Context(), infoKey(info), listKey(info)))
		r, err := verify.Mirror(t.Context(), dst, src, verify.MirrorOptions{HideRemoved: true})
		require.NoError(t, err)
		require.Equal(t, []storepath.Path{info.Path}, r.Hidden)
		has, err := dst.Has(t.Context(), info.Path)
		require.NoError(t, err)
		require.False(t, has)
		_, err = gc.Undo(t.Context(), dst, r.HiddenBy)
		require.NoError(t, err)
		has, err = dst.Has(t.Context(), info.Path)
		require.NoError(t, err)
		require.True(t, has)
	})
}
