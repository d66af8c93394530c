package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/layout"
	"example.com/nixs3/store/storetest"
)

// inventor is a source that describes every path, as it likes.
type inventor struct {
	describe func(p storepath.Path, n int64) *narinfo.PathInfo
	asked    atomic.Int64
}

func (i *inventor) String() string          { return "inventor" }
func (i *inventor) StoreDir() storepath.Dir { return storepath.Default }
func (i *inventor) PathInfo(_ context.Context, p storepath.Path) (*narinfo.PathInfo, error) {
	return i.describe(p, i.asked.Add(1)), nil
}
func (i *inventor) NAR(context.Context, storepath.Path) (io.ReadCloser, error) {
	return io.NopCloser(&endless{text: make([]byte, 4096)}), nil
}
func (i *inventor) AllPaths(context.Context) iter.Seq2[storepath.Path, error] {
	return func(yield func(storepath.Path, error) bool) {
		for n := uint64(0); yield(madeUpPath(n, "endless"), nil); n++ {
		}
	}
}

func claim(p storepath.Path, size int64, refs ...storepath.Path) *narinfo.PathInfo {
	return &narinfo.PathInfo{StoreDir: storepath.Default, Path: p, NarHash: nixhash.Sum(nixhash.SHA256, nil), NarSize: size, References: refs}
}

// A source that invents is left soon, with little of it looked at.
func TestSourcesThatInvent(t *testing.T) {
	root := madeUpPath(1<<40, "root")
	endlessly := func(p storepath.Path, n int64) *narinfo.PathInfo {
		return claim(p, 1, madeUpPath(uint64(2*n), "endless"), madeUpPath(uint64(2*n+1), "endless"))
	}
	keys := narinfo.TrustedKeys{newKey(t, "trusted-1").Public()}
	for _, tt := range []struct {
		name     string
		describe func(storepath.Path, int64) *narinfo.PathInfo
		opts     store.CopyOptions
		want     error
		most     int64 // lookups
	}{
		{"paths without end", endlessly, store.CopyOptions{Limits: store.Limits{Paths: 1000}}, store.ErrTooLarge, 1001},
		{"paths without end, of all", endlessly, store.CopyOptions{All: true, Limits: store.Limits{Paths: 1000}}, store.ErrTooLarge, 1300},
		{"paths without end, going on", endlessly, store.CopyOptions{KeepGoing: true, Limits: store.Limits{Paths: 1000}}, store.ErrTooLarge, 1001},
		{"paths without end and signature", endlessly, store.CopyOptions{TrustedKeys: keys}, store.ErrUntrusted, 1},
		{"references without end", func(p storepath.Path, n int64) *narinfo.PathInfo {
			info := claim(p, 1)
			for i := range uint64(100) {
				info.References = append(info.References, madeUpPath(uint64(n)*100+i, "many"))
			}
			return info
		}, store.CopyOptions{Limits: store.Limits{References: 5000}}, store.ErrTooLarge, 200},
		{"a size that fills every disk", func(p storepath.Path, _ int64) *narinfo.PathInfo { return claim(p, 1<<60) },
			store.CopyOptions{}, store.ErrTooLarge, 1},
		{"sizes that do so together", func(p storepath.Path, n int64) *narinfo.PathInfo {
			return claim(p, 1<<43, madeUpPath(uint64(n), "endless"))
		}, store.CopyOptions{}, store.ErrTooLarge, 10},
		{"a sum that does not fit", func(p storepath.Path, n int64) *narinfo.PathInfo {
			return claim(p, 1<<62, madeUpPath(uint64(n), "endless"))
		}, store.CopyOptions{Limits: store.Limits{NarSize: 1<<63 - 2}}, store.ErrTooLarge, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			storetest.NoLeaks(t)
			b := memblob.New()
			src := &inventor{describe: tt.describe}
			_, err := store.Copy(t.Context(), newCache(t, b, store.Settings{}), src, []storepath.Path{root}, tt.opts)
			require.ErrorIs(t, err, tt.want)
			require.LessOrEqual(t, src.asked.Load(), tt.most)
			require.Zero(t, requireSound(t, b).Archives)
		})
	}
}

// judge is a source with trusted keys of its own, which counts the narinfos
// whose signatures were checked.
type judge struct {
	inventor
	keys    narinfo.TrustedKeys
	checked func(n int64)
	n       atomic.Int64
}

func (j *judge) Trust(info *narinfo.PathInfo) (strict bool, err error) {
	defer func() { j.checked(j.n.Add(1)) }()
	return false, j.keys.Verify(info)
}

// The signatures of narinfos that were looked up are not checked after the end.
func TestCancellingEndsTheCheckOfSignatures(t *testing.T) {
	const n, lookups = 1000, 128
	most := int64(runtime.GOMAXPROCS(0)) // checks at a time
	key := newKey(t, "trusted-1").Public()
	var roots []storepath.Path
	for i := range uint64(n) {
		roots = append(roots, madeUpPath(i, "signed"))
	}
	describe := func(p storepath.Path, _ int64) *narinfo.PathInfo {
		info := claim(p, 1)
		for i := range 256 {
			info.Signatures = append(info.Signatures, narinfo.Signature{KeyName: key.Name(), Data: [64]byte{byte(i)}})
		}
		return info
	}
	end := errors.New("the caller's end")
	for _, tt := range []struct {
		name string
		opts store.CopyOptions
	}{
		{"roots", store.CopyOptions{KeepGoing: true}},
		{"all", store.CopyOptions{KeepGoing: true, All: true, Limits: store.Limits{Paths: n}}},
	} {
		for _, after := range []int64{0, 1, 10} {
			t.Run(fmt.Sprintf("%s, after %d", tt.name, after), func(t *testing.T) {
				storetest.NoLeaks(t)
				ctx, cancel := context.WithCancelCause(t.Context())
				src := &judge{inventor: inventor{describe: describe}, keys: narinfo.TrustedKeys{key}, checked: func(n int64) {
					if n == after {
						cancel(end)
					}
				}}
				if after == 0 {
					cancel(end)
				}
				_, err := store.Copy(ctx, newCache(t, memblob.New(), store.Settings{}), src, roots, tt.opts)
				require.ErrorIs(t, err, end)
				require.LessOrEqual(t, src.n.Load(), after+most)
				require.LessOrEqual(t, src.asked.Load(), after+most+3*lookups)
			})
		}
	}
	t.Run("upstream", func(t *testing.T) {
		storetest.NoLeaks(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		up := &inventor{describe: func(p storepath.Path, n int64) *narinfo.PathInfo {
			if n == 10 {
				cancel(end)
			}
			return describe(p, n)
		}}
		src := &inventor{describe: func(p storepath.Path, _ int64) *narinfo.PathInfo { return claim(p, 1) }}
		_, err := store.Copy(ctx, newCache(t, memblob.New(), store.Settings{}), src, roots,
			store.CopyOptions{Upstreams: []store.Upstream{{Store: up, Keys: narinfo.TrustedKeys{key}}}})
		require.ErrorIs(t, err, end)
		require.LessOrEqual(t, up.asked.Load(), int64(10+lookups))
	})
}

// An untrusted path that the destination already has is not a failure.
func TestUntrustedButPresent(t *testing.T) {
	lib, user, top := smallClosure(t)
	objects := []object{lib, user, top}
	src, _ := fill(t, objects, store.Settings{})
	dst, b := fill(t, objects, store.Settings{})
	keys := narinfo.TrustedKeys{newKey(t, "trusted-1").Public()}
	report, err := store.Copy(t.Context(), dst, src, paths([]object{top}), store.CopyOptions{TrustedKeys: keys})
	require.NoError(t, err)
	require.Equal(t, 1, report.Present, "its references are not looked at")
	requireSound(t, b)
}

// The failure of a path at the end of a very long chain fails all others.
func TestDeepChainFails(t *testing.T) {
	const depth = 50_000
	src := &inventor{describe: func(p storepath.Path, n int64) *narinfo.PathInfo {
		if n == depth {
			return claim(p, 1)
		}
		return claim(p, 1, madeUpPath(uint64(n), "chain"))
	}}
	// The destination fails to store the last one: the source has not the bytes
	// that it claims.
	report, err := store.Copy(t.Context(), newCache(t, memblob.New(), store.Settings{}), src,
		[]storepath.Path{madeUpPath(1<<40, "root")}, store.CopyOptions{KeepGoing: true})
	require.Error(t, err)
	require.Len(t, report.Failed, depth)
	require.Zero(t, report.Copied)
}

// TestReadyCrowd publishes very many paths that become ready at once, and counts
// the goroutines.
func TestReadyCrowd(t *testing.T) {
	const n = 3000
	base := newObject(t, 1<<30, []byte("base"))
	objects := []object{base}
	for i := range uint64(n) {
		objects = append(objects, newObject(t, i, fmt.Append(nil, i), base.info.Path))
	}
	src, _ := fill(t, objects, store.Settings{Compression: "none"})
	before, most := runtime.NumGoroutine(), 0
	stored := 0
	everything := make(chan struct{})
	dst := blob.Intercept(memblob.New(), func(ctx context.Context, call *blob.Call, do func(context.Context) error) error {
		if call.Op != "Put" || layout.KindOf(call.Key) != layout.NarInfo {
			return do(ctx)
		}
		if call.Key == layout.NarInfoKey(base.info.Path.HashPart()) {
			<-everything
		}
		return do(ctx)
	})
	_, err := store.Copy(t.Context(), newCache(t, dst, store.Settings{Compression: "none"}), src, paths(objects), store.CopyOptions{
		Progress: func(p store.Progress) {
			most = max(most, runtime.NumGoroutine())
			if stored++; p.NARBytes == p.NARBytesTotal && everything != nil {
				close(everything)
				everything = nil
			}
		},
	})
	require.NoError(t, err)
	require.Less(t, most-before, 1000)
}

func TestClosure(t *testing.T) {
	lib, user, top := smallClosure(t)
	src, _ := fill(t, []object{lib, user, top}, store.Settings{})
	infos, err := store.Closure(t.Context(), src, paths([]object{top}))
	require.NoError(t, err)
	var order []storepath.Path
	for _, info := range infos {
		order = append(order, info.Path)
	}
	require.Equal(t, paths([]object{lib, user, top}), order)
	missing := madeUpPath(99, "missing")
	_, err = store.Closure(t.Context(), src, []storepath.Path{missing})
	require.ErrorIs(t, err, store.ErrNotFound)
	require.ErrorContains(t, err, "/nix/store/"+missing.String())
}

// Messages about a missing reference name who refers to it, by full names.
func TestMessagesNameTheReferrer(t *testing.T) {
	missing := madeUpPath(9, "missing")
	user := newObject(t, 1, []byte("x"), missing)
	b := memblob.New()
	src := newCache(t, b, store.Settings{})
	_, err := src.Add(t.Context(), user.info, readerOf(user), store.AddOptions{ReferencesPresent: true})
	require.NoError(t, err)
	_, err = store.Copy(t.Context(), newCache(t, memblob.New(), store.Settings{}), src, paths([]object{user}), store.CopyOptions{})
	require.ErrorIs(t, err, store.ErrNotFound)
	require.ErrorContains(t, err, fmt.Sprintf("/nix/store/%s, a reference of /nix/store/%s,", missing, user.info.Path))
	_, err = newCache(t, memblob.New(), store.Settings{}).Add(t.Context(), user.info, readerOf(user), store.AddOptions{})
	require.ErrorContains(t, err, "/nix/store/"+user.info.Path.String())
	require.ErrorContains(t, err, "/nix/store/"+missing.String())
	report, err := store.Copy(t.Context(), newCache(t, memblob.New(), store.Settings{}), src, paths([]object{user}), store.CopyOptions{KeepGoing: true})
	require.Error(t, err)
	var messages error
	for _, f := range report.Failed {
		messages = errors.Join(messages, f)
	}
	require.ErrorContains(t, messages, "its reference /nix/store/"+missing.String()+" could not be copied")
}
