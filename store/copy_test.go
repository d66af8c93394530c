package store_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/storetest"
	"example.com/nixs3/store/storetest/fakes3"
)

// smallClosure are three paths: a user of a library, and another of both.
func smallClosure(t testing.TB) (lib, user, top object) {
	lib = newObject(t, 1, []byte("library"))
	user = newObject(t, 2, []byte("user"), lib.info.Path)
	top = newObject(t, 3, []byte(strings.Repeat("top", 50_000)), lib.info.Path, user.info.Path)
	return
}

func TestCopyOfAClosure(t *testing.T) {
	lib, user, top := smallClosure(t)
	src, _ := fill(t, []object{lib, user, top}, store.Settings{})
	b := memblob.New()
	dst := newCache(t, b, store.Settings{})

	var last store.Progress
	calls := 0
	report, err := store.Copy(t.Context(), dst, src, []storepath.Path{user.info.Path}, store.CopyOptions{
		Progress: func(p store.Progress) { last, calls = p, calls+1 },
	})
	require.NoError(t, err)
	require.Equal(t, 2, report.Copied)
	require.Equal(t, lib.info.NarSize+user.info.NarSize, report.NARBytes)
	require.Positive(t, report.FileBytes)
	require.Positive(t, calls)
	require.Equal(t, store.Progress{Paths: 2, PathsTotal: 2, NARBytes: report.NARBytes, NARBytesTotal: report.NARBytes,
		FileBytes: report.FileBytes, FileBytesTotal: report.FileBytes, BytesWritten: report.BytesWritten, Requests: dst.Stats().Requests()}, last)

	report, err = store.Copy(t.Context(), dst, src, nil, store.CopyOptions{All: true})
	require.NoError(t, err)
	require.Equal(t, 3, report.Paths)
	require.Equal(t, 2, report.Present)
	require.Equal(t, 1, report.Copied)
	require.Equal(t, 3, requireSound(t, b).Paths)
}

func TestCopyDryRun(t *testing.T) {
	lib, user, top := smallClosure(t)
	src, _ := fill(t, []object{lib, user, top}, store.Settings{})
	log := storetest.NewFaultBucket(memblob.New(), nil)
	report, err := store.Copy(t.Context(), newCache(t, log, store.Settings{}), src, []storepath.Path{top.info.Path}, store.CopyOptions{DryRun: true})
	require.NoError(t, err)
	require.Len(t, report.Todo, 3)
	require.Equal(t, top.info.Path, report.Todo[0].Path, "the biggest first")
	require.Equal(t, top.info.NarSize, report.Todo[0].NarSize)
	require.Positive(t, report.Todo[0].FileSize)
	require.Equal(t, 6, report.Requests)
	require.Zero(t, log.Count("Put"))
	require.Zero(t, report.Copied)
}

func TestCopyWithoutClosure(t *testing.T) {
	lib, user, top := smallClosure(t)
	src, _ := fill(t, []object{lib, user, top}, store.Settings{})
	b := memblob.New()
	dst := newCache(t, b, store.Settings{})
	opts := store.CopyOptions{NoClosure: true}
	_, err := store.Copy(t.Context(), dst, src, []storepath.Path{user.info.Path}, opts)
	require.ErrorIs(t, err, store.ErrMissingReference)
	require.Zero(t, requireSound(t, b).Paths)
	_, err = store.Copy(t.Context(), dst, src, []storepath.Path{user.info.Path, lib.info.Path}, opts)
	require.NoError(t, err)
	require.Equal(t, 2, requireSound(t, b).Paths)
}

func TestCopyOfWhatIsNotThere(t *testing.T) {
	lib, user, _ := smallClosure(t)
	src := newCache(t, memblob.New(), store.Settings{})
	add(t, src, user, store.AddOptions{ReferencesPresent: true})
	b := memblob.New()
	for _, keepGoing := range []bool{false, true} {
		report, err := store.Copy(t.Context(), newCache(t, b, store.Settings{}), src, []storepath.Path{user.info.Path}, store.CopyOptions{KeepGoing: keepGoing})
		require.ErrorIs(t, err, store.ErrNotFound)
		require.Contains(t, err.Error(), lib.info.Path.String())
		require.Zero(t, requireSound(t, b).Paths)
		if keepGoing {
			require.Len(t, report.Failed, 2, "the reference, and what needs it")
		}
	}
}

// TestCopyKeepsGoing copies past an archive that is broken at the source.
func TestCopyKeepsGoing(t *testing.T) {
	lib, user, top := smallClosure(t)
	other := newObject(t, 4, []byte("has nothing to do with it"))
	src, from := fill(t, []object{lib, user, top, other}, store.Settings{})
	info, err := src.NarInfo(t.Context(), user.info.Path)
	require.NoError(t, err)
	_, err = from.Put(t.Context(), info.URL, strings.NewReader(strings.Repeat("?", int(info.FileSize))), blob.PutOptions{})
	require.NoError(t, err)

	b := memblob.New()
	report, err := store.Copy(t.Context(), newCache(t, b, store.Settings{}), src, nil, store.CopyOptions{All: true, KeepGoing: true})
	require.Error(t, err)
	require.Contains(t, err.Error(), "2 of 4")
	require.Equal(t, 2, report.Copied)
	require.Len(t, report.Failed, 2)
	for _, failed := range report.Failed {
		require.Contains(t, []storepath.Path{user.info.Path, top.info.Path}, failed.Path)
	}
	require.Equal(t, 2, requireSound(t, b).Paths)
}

func TestCopyLeavesOutWhatAnUpstreamHas(t *testing.T) {
	lib, user, top := smallClosure(t)
	key, stranger := newKey(t, "upstream-1"), newKey(t, "stranger-1")
	src, _ := fill(t, []object{lib, user, top}, store.Settings{})
	upstream, _ := fill(t, []object{lib}, store.Settings{Signers: []narinfo.Signer{key}})
	for _, tc := range []struct {
		key  narinfo.SecretKey
		left int
	}{{key, 1}, {stranger, 0}} {
		b := memblob.New()
		report, err := store.Copy(t.Context(), newCache(t, b, store.Settings{}), src, []storepath.Path{top.info.Path}, store.CopyOptions{
			Upstreams: []store.Upstream{{Store: upstream, Keys: narinfo.TrustedKeys{tc.key.Public()}}},
		})
		require.NoError(t, err)
		require.Equal(t, tc.left, report.Upstream)
		require.Equal(t, 3-tc.left, report.Copied)
		_, err = storetest.CheckCache(t.Context(), b, storetest.CheckOptions{
			Elsewhere: func(p storepath.Path) bool { return p == lib.info.Path },
		})
		require.NoError(t, err)
	}
}

func TestCopySignsAndKeepsSignatures(t *testing.T) {
	first, second, third := newKey(t, "source-1"), newKey(t, "settings-1"), newKey(t, "copy-1")
	o := newObject(t, 1, []byte("x"))
	src, _ := fill(t, []object{o}, store.Settings{Signers: []narinfo.Signer{first}})
	dst := newCache(t, memblob.New(), store.Settings{Signers: []narinfo.Signer{second}})
	_, err := store.Copy(t.Context(), dst, src, []storepath.Path{o.info.Path}, store.CopyOptions{Signers: []narinfo.Signer{third}})
	require.NoError(t, err)
	info, err := dst.NarInfo(t.Context(), o.info.Path)
	require.NoError(t, err)
	require.Len(t, info.Signatures, 3)
	for _, key := range []narinfo.SecretKey{first, second, third} {
		require.NoError(t, narinfo.TrustedKeys{key.Public()}.Verify(&info.PathInfo))
	}
}

func TestCopyRefusesTheUntrusted(t *testing.T) {
	o := newObject(t, 1, []byte("x"))
	_, from := fill(t, []object{o}, store.Settings{})
	log := storetest.NewFaultBucket(from, nil)
	_, err := store.Copy(t.Context(), newCache(t, memblob.New(), store.Settings{}), newCache(t, log, store.Settings{}),
		[]storepath.Path{o.info.Path}, store.CopyOptions{TrustedKeys: narinfo.TrustedKeys{newKey(t, "key-1").Public()}})
	require.ErrorIs(t, err, store.ErrUntrusted)
	for _, op := range log.Log() {
		require.NotContains(t, op.Key, "nar/", "fetched before it was trusted")
	}
}

// TestHowMuchIsVerified copies a file that has its FileHash and not the NAR
// that the narinfo says.
func TestHowMuchIsVerified(t *testing.T) {
	o := newObject(t, 1, []byte("the truth"))
	file := encode(t, "zstd", fileNAR(t, []byte("not so")))
	honest := newCache(t, memblob.New(), store.Settings{})
	lie := add(t, honest, newObject(t, 2, []byte("not so")), store.AddOptions{})
	lie.PathInfo = *o.info
	lie.URL = "nar/lie"
	for verify, want := range map[store.Verification]error{
		store.VerifyContents: store.ErrMismatch, store.VerifyFiles: nil, store.VerifyNothing: nil,
	} {
		src := forgeInfo(t, lie, file)
		_, err := store.Copy(t.Context(), newCache(t, memblob.New(), store.Settings{}), src, []storepath.Path{o.info.Path}, store.CopyOptions{Verify: verify})
		require.ErrorIs(t, err, want)

		cut := forgeInfo(t, lie, append([]byte{1}, file[1:]...))
		dst := newCache(t, struct{ blob.Bucket }{memblob.New()}, store.Settings{}) // which cannot copy by itself
		_, err = store.Copy(t.Context(), dst, cut, []storepath.Path{o.info.Path}, store.CopyOptions{Verify: verify})
		require.Error(t, err, "the FileHash is always checked of what passes through")
	}
}

func TestCopyOnTheServer(t *testing.T) {
	s3 := storetest.NewS3(t, fakes3.Options{Buckets: []string{"cache", "from"}})
	t.Setenv("AWS_ACCESS_KEY_ID", fakes3.DefaultCredentials.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", fakes3.DefaultCredentials.SecretKey)
	lib, user, top := smallClosure(t)
	src := open(t, "s3://from/with/prefix?endpoint="+s3.Endpoint())
	for _, o := range []object{lib, user, top} {
		add(t, src, o, store.AddOptions{})
	}
	s3.ResetLog()
	dst := s3Cache(t, s3, "")
	report, err := store.Copy(t.Context(), dst, src, []storepath.Path{top.info.Path}, store.CopyOptions{Verify: store.VerifyNothing})
	require.NoError(t, err)
	require.Equal(t, 3, report.Copied)
	require.Equal(t, 3, s3.Count("CopyObject"))
	for _, r := range s3.Requests() {
		require.False(t, r.Op == "GetObject" && strings.Contains(r.Key, "nar/"), "%v moved through this process", r.Key)
	}
	requireSound(t, dst.Bucket())
}

func TestCopyBetweenStoreDirectories(t *testing.T) {
	o := newObject(t, 1, []byte("x"))
	src, _ := fill(t, []object{o}, store.Settings{})
	_, err := store.Copy(t.Context(), newCache(t, memblob.New(), store.Settings{StoreDir: "/gnu/store"}), src, []storepath.Path{o.info.Path}, store.CopyOptions{})
	require.ErrorIs(t, err, store.ErrStoreDir)
}

func TestRestoreLeavesNothingBehindWhenWrong(t *testing.T) {
	o := newObject(t, 1, []byte("the truth"))
	lie := o.info.Clone()
	lie.NarHash = newObject(t, 2, []byte("other")).info.NarHash
	src := forge(t, lie, encode(t, "zstd", o.archive), "zstd")
	dest := filepath.Join(t.TempDir(), "dest")
	err := store.Restore(t.Context(), src, o.info.Path, dest)
	require.ErrorIs(t, err, store.ErrMismatch)
	require.NoFileExists(t, dest)

	require.NoError(t, os.WriteFile(dest, []byte("mine"), 0o644))
	good, _ := fill(t, []object{o}, store.Settings{})
	require.Error(t, store.Restore(t.Context(), good, o.info.Path, dest))
	text, err := os.ReadFile(dest)
	require.NoError(t, err)
	require.Equal(t, "mine", string(text))
}

// TestSourceThatFails reads from a store whose archives end in an error.
func TestSourceThatFails(t *testing.T) {
	o := newObject(t, 1, []byte("the truth"))
	why := errors.New("disk on fire")
	b := memblob.New()
	_, err := store.Copy(t.Context(), newCache(t, b, store.Settings{}),
		&liar{o.info, io.MultiReader(strings.NewReader(string(o.archive[:40])), &failing{why})}, []storepath.Path{o.info.Path}, store.CopyOptions{})
	require.ErrorIs(t, err, why)
	require.Zero(t, requireSound(t, b).Archives)
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

// TestCopiesInOppositeDirections copies between two caches both ways at once,
// and a cache to itself, with as little room as can be.
func TestCopiesInOppositeDirections(t *testing.T) {
	narrow := store.Budget{Memory: 1 << 20, Transfers: 1, Requests: 1}
	here, there := independent(t, 30, 5000), independent(t, 31, 5000)
	a, _ := fill(t, here, store.Settings{Budget: narrow, Compression: "gzip"})
	b, _ := fill(t, there, store.Settings{Budget: narrow, Compression: "zstd"})
	errs := make(chan error, 3)
	for _, ends := range [][2]*store.Cache{{a, b}, {b, a}, {a, a}} {
		go func() {
			_, err := store.Copy(t.Context(), ends[0], ends[1], nil, store.CopyOptions{All: true, Repair: ends[0] == ends[1]})
			errs <- err
		}()
	}
	for range 3 {
		require.NoError(t, <-errs)
	}
	require.Len(t, allPaths(t, a), len(allPaths(t, b)))
}

// together is a bucket whose archives give their first bytes only when so many
// of them are being read.
type together struct {
	blob.Bucket
	missing atomic.Int32
	all     chan struct{}
}

func (b *together) Get(ctx context.Context, key string, opts blob.GetOptions) (*blob.Object, error) {
	obj, err := b.Bucket.Get(ctx, key, opts)
	if err == nil && strings.HasPrefix(key, "nar/") {
		obj.Body = &meeting{ReadCloser: obj.Body, at: b}
	}
	return obj, err
}

type meeting struct {
	io.ReadCloser
	at   *together
	came bool
}

func (m *meeting) Read(p []byte) (int, error) {
	if !m.came {
		m.came = true
		if m.at.missing.Add(-1) == 0 {
			close(m.at.all)
		}
		select {
		case <-m.at.all:
		case <-time.After(2 * time.Minute):
			return 0, errors.New("nobody else reads")
		}
	}
	return m.ReadCloser.Read(p)
}

// Large archives go side by side too, with the memory that there is by default.
func TestLargeArchivesGoTogether(t *testing.T) {
	const n = 4
	objects := independent(t, n, 9<<20)
	for _, compression := range []narinfo.Compression{"zstd", "none"} {
		_, from := fill(t, objects, store.Settings{Compression: compression})
		meet := &together{Bucket: from, all: make(chan struct{})}
		meet.missing.Store(n)
		src := newCache(t, meet, store.Settings{})
		_, err := store.Copy(t.Context(), newCache(t, memblob.New(), store.Settings{}), src, paths(objects), store.CopyOptions{})
		require.NoError(t, err)
	}
}

// Copies that need the same paths at a time send each archive once.
func TestCopiesShareTheirWork(t *testing.T) {
	lib, user, top := smallClosure(t)
	objects := append(independent(t, 1, 1<<20), lib, user, top)
	src, _ := fill(t, objects, store.Settings{})
	b := memblob.New()
	log := storetest.NewFaultBucket(b, nil)
	dst := newCache(t, log, store.Settings{})
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			_, errs[i] = store.Copy(context.Background(), dst, src, paths(objects), store.CopyOptions{})
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	require.Equal(t, len(objects), requireSound(t, b).Paths)
	sent := map[string]int{}
	for _, op := range log.Log() {
		if op.Op == "Put" && strings.HasPrefix(op.Key, "nar/") && op.Err == nil {
			sent[op.Key]++
		}
	}
	require.Len(t, sent, len(objects))
	for key, times := range sent {
		require.Equal(t, 1, times, key)
	}
}

// A narinfo that was listed and may not be read is not one that went away.
func TestCopyOfAllLeavesNothingOutThatIsDenied(t *testing.T) {
	b := memblob.New()
	for n := range uint64(3) {
		o := newObject(t, n, []byte("x"))
		_, err := newCache(t, b, store.Settings{}).Add(t.Context(), o.info, bytes.NewReader(o.archive), store.AddOptions{})
		require.NoError(t, err)
	}
	denied := newObject(t, 1, []byte("x")).info.Path
	src := newCache(t, storetest.NewFaultBucket(b, func(op storetest.Operation) storetest.Fault {
		if op.Op == "Get" && op.Key == denied.HashPart()+".narinfo" {
			return storetest.Fault{Kind: "error", Err: &blob.Error{Op: "Get", Key: op.Key, Code: "AccessDenied", Err: blob.ErrAccessDenied}}
		}
		return storetest.Fault{}
	}), store.Settings{})

	_, err := store.Copy(t.Context(), newCache(t, memblob.New(), store.Settings{}), src, nil, store.CopyOptions{All: true})
	require.ErrorIs(t, err, store.ErrAccessDenied)
	report, err := store.Copy(t.Context(), newCache(t, memblob.New(), store.Settings{}), src, nil, store.CopyOptions{All: true, KeepGoing: true})
	require.ErrorIs(t, err, store.ErrAccessDenied)
	require.ErrorContains(t, err, "1 of 3 paths could not be copied")
	require.Len(t, report.Failed, 1)
	require.Equal(t, 2, report.Copied)
	require.Equal(t, 3, report.Paths)

	_, err = src.PathInfo(t.Context(), denied)
	require.ErrorIs(t, err, store.ErrNotFound, "as S3 answers for a missing key that may not be listed")
	require.ErrorContains(t, err, "denied access")
}
