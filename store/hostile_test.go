package store_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
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

// readAll reads a path and returns how that ended.
func readAll(t testing.TB, c *store.Cache, p storepath.Path) error {
	t.Helper()
	r, err := c.NAR(t.Context(), p)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, r)
	return err
}

// copyInto copies a path into a new cache with a compression.
func copyInto(t testing.TB, src store.Source, p storepath.Path, compression narinfo.Compression, opts store.CopyOptions) error {
	t.Helper()
	_, err := store.Copy(t.Context(), newCache(t, memblob.New(), store.Settings{Compression: compression}), src, []storepath.Path{p}, opts)
	return err
}

// Sizes that no sum can hold are errors like others.
func TestEnormousClaims(t *testing.T) {
	o := newObject(t, 1, []byte("x"))
	file := encode(t, "zstd", o.archive)
	for _, size := range []int64{2e18, 5e18, 8.2e18, math.MaxInt64} {
		info := &narinfo.NarInfo{PathInfo: with(o.info, func(i *narinfo.PathInfo) { i.NarSize = size }), URL: "nar/x", Compression: "zstd"}
		c := forgeInfo(t, info, file)
		require.ErrorIs(t, readAll(t, c, info.Path), store.ErrMismatch)
		for _, compression := range []narinfo.Compression{"", "gzip"} {
			require.ErrorIs(t, copyInto(t, c, info.Path, compression, store.CopyOptions{}), store.ErrTooLarge)
			unlimited := store.CopyOptions{Limits: store.Limits{NarSize: math.MaxInt64}}
			require.ErrorIs(t, copyInto(t, c, info.Path, compression, unlimited), store.ErrMismatch)
		}
		_, err := newCache(t, memblob.New(), store.Settings{}).Add(t.Context(), &info.PathInfo, bytes.NewReader(o.archive), store.AddOptions{})
		require.ErrorIs(t, err, store.ErrMismatch)

		info.NarSize, info.FileSize = o.info.NarSize, size
		c = forgeInfo(t, info, file)
		require.ErrorIs(t, readAll(t, c, info.Path), store.ErrMismatch)
	}
}

// endlessFile is a bucket whose archives have no end and have no length.
type endlessFile struct {
	blob.Bucket
	file *endless
}

func (b endlessFile) Get(ctx context.Context, key string, opts blob.GetOptions) (*blob.Object, error) {
	obj, err := b.Bucket.Get(ctx, key, opts)
	if err == nil && key == "nar/x" {
		obj.Body.Close()
		obj.Body, obj.Length = io.NopCloser(b.file), -1
	}
	return obj, err
}

func TestFileSizeDoesNotVouchForItself(t *testing.T) {
	o := newObject(t, 1, []byte("x"))
	empty := append([]byte{0x50, 0x2a, 0x4d, 0x18, 0xf8, 0xff, 0x00, 0x00}, make([]byte, 0xfff8)...) // a skippable frame
	forged := forgeInfo(t, &narinfo.NarInfo{PathInfo: *o.info, URL: "nar/x", Compression: "zstd", FileSize: 1 << 60}, nil)
	for name, use := range map[string]func(src *store.Cache) error{
		"read": func(src *store.Cache) error { return readAll(t, src, o.info.Path) },
		"copy": func(src *store.Cache) error { return copyInto(t, src, o.info.Path, "", store.CopyOptions{}) },
	} {
		t.Run(name, func(t *testing.T) {
			file := &endless{text: empty}
			require.ErrorIs(t, use(newCache(t, endlessFile{forged.Bucket(), file}, store.Settings{})), store.ErrMismatch)
			require.Less(t, file.n, int64(8<<20))
		})
	}
}

func TestFileHashOfTheNAR(t *testing.T) {
	o := newObject(t, 1, bytes.Repeat([]byte("x"), 1000))
	info := &narinfo.NarInfo{PathInfo: *o.info, URL: "nar/x", Compression: "zstd", FileHash: o.info.NarHash}
	require.ErrorIs(t, readAll(t, forgeInfo(t, info, encode(t, "zstd", o.archive)), info.Path), store.ErrMismatch)
}

// A content address says that the archive is a file; it is not even an archive.
func TestAddressedJunk(t *testing.T) {
	for _, n := range []int{100, 4 << 20} {
		junk := bytes.Repeat([]byte("junkjunk"), n/8+1)
		info := flatInfo(t, "x", newObject(t, 1, []byte("x")))
		info.NarSize, info.NarHash = int64(len(junk)), nixhash.Sum(nixhash.SHA256, junk)
		c := forge(t, info, encode(t, "zstd", junk), "zstd")
		require.ErrorAs(t, readAll(t, c, info.Path), new(*nar.FormatError))
		require.ErrorAs(t, copyInto(t, c, info.Path, "gzip", store.CopyOptions{}), new(*nar.FormatError))
	}
}

// An archive with more self-references than are remembered is refused.
func TestManySelfReferences(t *testing.T) {
	o := newObject(t, 1, nil)
	info := o.info.Clone()
	archive := fileNAR(t, bytes.Repeat([]byte(info.Path.HashPart()), 1<<20+1))
	info.NarHash, info.NarSize = nixhash.Sum(nixhash.SHA256, archive), int64(len(archive))
	info.References = []storepath.Path{info.Path}
	info.CA = storepath.ContentAddress{Method: storepath.MethodNAR, Hash: nixhash.Sum(nixhash.SHA256, nil)}
	require.ErrorContains(t, readAll(t, forge(t, info, encode(t, "zstd", archive), "zstd"), info.Path), "self-references")
}

// A destination that trusts a source only for what some keys have signed does
// not trust a content address that was never computed.
func TestAddressesAreComputedWhereTheyVouch(t *testing.T) {
	evil := newObject(t, 1, []byte("evil contents"))
	info := flatInfo(t, "good contents", evil)
	file := encode(t, "zstd", evil.archive)
	src := forgeInfo(t, &narinfo.NarInfo{PathInfo: *info, URL: "nar/x.nar.zst", Compression: "zstd",
		FileHash: nixhash.Sum(nixhash.SHA256, file), FileSize: int64(len(file))}, file)
	stranger := narinfo.TrustedKeys{newKey(t, "stranger-1").Public()}
	for _, verify := range []store.Verification{store.VerifyContents, store.VerifyFiles, store.VerifyNothing} {
		for _, keys := range []narinfo.TrustedKeys{nil, stranger} {
			err := copyInto(t, src, info.Path, "", store.CopyOptions{Verify: verify, TrustedKeys: keys})
			require.ErrorIs(t, err, store.ErrMismatch)
		}
	}
}

// An archive that comes compressed may come without a claim of its hash.
func TestEncodedWithoutHash(t *testing.T) {
	o := newObject(t, 1, []byte("abc"))
	info := with(o.info, func(i *narinfo.PathInfo) { i.NarHash = nixhash.Hash{} })
	for _, compression := range []narinfo.Compression{"", "gzip", "none"} {
		c := newCache(t, memblob.New(), store.Settings{Compression: compression})
		added, err := c.Add(t.Context(), &info, bytes.NewReader(encode(t, "zstd", o.archive)), store.AddOptions{Encoded: &narinfo.NarInfo{Compression: "zstd"}})
		require.NoError(t, err)
		require.Equal(t, o.info.NarHash, added.NarHash)
		require.NoError(t, readAll(t, c, info.Path))
	}
}

// A source that does not say what to expect could send anything without end.
func TestSourceWithoutClaims(t *testing.T) {
	o := newObject(t, 1, []byte("abc"))
	for _, forget := range []func(*narinfo.PathInfo){
		func(i *narinfo.PathInfo) { i.NarSize = 0 },
		func(i *narinfo.PathInfo) { i.NarHash = nixhash.Hash{} },
	} {
		info := with(o.info, forget)
		err := copyInto(t, &liar{&info, bytes.NewReader(o.archive)}, info.Path, "", store.CopyOptions{})
		require.ErrorContains(t, err, "NarHash and a NarSize")
	}
}

func TestListingsNeedTrust(t *testing.T) {
	o := newObject(t, 1, []byte("abc"))
	_, b := fill(t, []object{o}, store.Settings{WriteListing: true})
	strict := newCache(t, b, store.Settings{TrustedKeys: narinfo.TrustedKeys{newKey(t, "stranger-1").Public()}})
	_, err := strict.Listing(t.Context(), o.info.Path)
	require.ErrorIs(t, err, store.ErrUntrusted)
}

// A narinfo that cannot be read is reported and stops nothing else.
func TestCopyAllKeepsGoing(t *testing.T) {
	objects := []object{newObject(t, 1, []byte("a")), newObject(t, 2, []byte("b"))}
	src, from := fill(t, objects, store.Settings{})
	_, err := from.Put(t.Context(), madeUpPath(9, "x").HashPart()+".narinfo", bytes.NewReader([]byte("nonsense")), blob.PutOptions{})
	require.NoError(t, err)
	dst := newCache(t, memblob.New(), store.Settings{})
	_, err = store.Copy(t.Context(), dst, src, nil, store.CopyOptions{All: true})
	require.Error(t, err)
	report, err := store.Copy(t.Context(), dst, src, nil, store.CopyOptions{All: true, KeepGoing: true})
	require.ErrorContains(t, err, "copying all paths")
	require.Equal(t, 2, report.Copied)
	require.Len(t, report.Failed, 1)
}

func TestDryRunTellsWhatIsMissing(t *testing.T) {
	o, missing := newObject(t, 1, []byte("a")), madeUpPath(77, "missing")
	src, _ := fill(t, []object{o}, store.Settings{})
	dst := newCache(t, memblob.New(), store.Settings{})
	report, err := store.Copy(t.Context(), dst, src, []storepath.Path{missing, o.info.Path}, store.CopyOptions{DryRun: true, KeepGoing: true})
	require.ErrorIs(t, err, store.ErrNotFound)
	require.Len(t, report.Failed, 1)
	require.Equal(t, missing, report.Failed[0].Path)
	require.Zero(t, report.Copied)
}

// A reference that goes while the archive is being sent is missed in the end.
func TestReferencesAreThereWhenPublished(t *testing.T) {
	lib, user, _ := smallClosure(t)
	c, b := fill(t, []object{lib}, store.Settings{})
	vanish := readerFunc(func([]byte) (int, error) {
		require.NoError(t, b.Delete(t.Context(), lib.info.Path.HashPart()+".narinfo"))
		return 0, io.EOF
	})
	_, err := c.Add(t.Context(), user.info, io.MultiReader(bytes.NewReader(user.archive), vanish), store.AddOptions{})
	require.ErrorAs(t, err, new(*store.MissingReferenceError))
	_, err = c.NarInfo(t.Context(), user.info.Path)
	require.ErrorIs(t, err, store.ErrNotFound)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// The judge looks at contents too.
func TestCheckCacheComputesContentAddresses(t *testing.T) {
	evil := newObject(t, 1, []byte("evil contents"))
	self := evil.info.Clone()
	self.References = []storepath.Path{self.Path}
	self.CA = storepath.ContentAddress{Method: storepath.MethodNAR, Hash: nixhash.Sum(nixhash.SHA256, nil)}
	var err error
	self.Path, err = storepath.Default.FromContentAddress("self", self.CA, storepath.References{Self: true})
	require.NoError(t, err)
	self.References = []storepath.Path{self.Path}
	for name, info := range map[string]*narinfo.PathInfo{"flat": flatInfo(t, "good contents", evil), "self-reference": self} {
		t.Run(name, func(t *testing.T) {
			_, err := storetest.CheckCache(t.Context(), forge(t, info, evil.archive, "none").Bucket(), storetest.CheckOptions{})
			require.ErrorContains(t, err, "its content address says")
		})
	}
	honest := flatInfo(t, "evil contents", evil)
	_, err = storetest.CheckCache(t.Context(), forge(t, honest, evil.archive, "none").Bucket(), storetest.CheckOptions{})
	require.NoError(t, err)
}

// What others may send must not become what nobody can read, or mend.
func TestNothingIsPublishedThatCannotBeRead(t *testing.T) {
	c := newCache(t, memblob.New(), store.Settings{})
	o := newObject(t, 1, []byte("x"))
	foreign := make([]narinfo.Signature, 256)
	for i := range foreign {
		foreign[i] = narinfo.Signature{KeyName: "foreign", Data: [64]byte{byte(i)}}
	}
	signed := with(o.info, func(i *narinfo.PathInfo) { i.Signatures = foreign })
	info, err := c.Add(t.Context(), &signed, bytes.NewReader(o.archive), store.AddOptions{})
	require.NoError(t, err)
	_, err = c.AddSignatures(t.Context(), info.Path, newKey(t, "one-more"))
	require.ErrorContains(t, err, "could not be read again")
	again, err := c.NarInfo(t.Context(), info.Path)
	require.NoError(t, err)
	require.Len(t, again.Signatures, 256)

	other := newObject(t, 2, []byte("y"))
	many := with(other.info, func(i *narinfo.PathInfo) {
		for n := range 100_000 {
			hash := nixhash.Sum(nixhash.SHA256, fmt.Append(nil, n)).Digest()[:20]
			ref, err := storepath.ParseBase(nixhash.EncodeNix32(hash) + "-a-name-of-ten")
			require.NoError(t, err)
			i.References = append(i.References, ref)
		}
	})
	_, err = c.Add(t.Context(), &many, bytes.NewReader(other.archive), store.AddOptions{ReferencesPresent: true})
	require.ErrorContains(t, err, "expected at most 4194304 bytes")
	_, err = c.PathInfo(t.Context(), many.Path)
	require.ErrorIs(t, err, store.ErrNotFound)

	r := &narinfo.Realisation{ID: narinfo.DrvOutput{DrvHash: o.info.NarHash, Output: "out"}, OutPath: o.info.Path, Signatures: foreign}
	require.NoError(t, c.PutRealisation(t.Context(), r))
	r.Signatures = append(r.Signatures, narinfo.Signature{KeyName: "a:b"})
	require.Error(t, c.PutRealisation(t.Context(), r))
	r.Signatures, r.Dependent = nil, map[narinfo.DrvOutput]storepath.Path{}
	for n := range 10_000 {
		r.Dependent[narinfo.DrvOutput{DrvHash: nixhash.Sum(nixhash.SHA256, fmt.Append(nil, n)), Output: "out"}] = o.info.Path
	}
	require.ErrorContains(t, c.PutRealisation(t.Context(), r), "expected at most 1048576 bytes")
	stored, err := c.Realisation(t.Context(), r.ID)
	require.NoError(t, err)
	require.Len(t, stored.Signatures, 256)
}
