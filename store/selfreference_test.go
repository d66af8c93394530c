package store_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/storetest"
)

// selfReferrer makes a content-addressed object that mentions itself twice, with
// the offsets of these in its hash modulo (Nix 2.8 and since 2.35) or without
// (Nix 2.17 to 2.34, Lix). A forged one has zero bytes where the second
// self-reference belongs, and the path of the honest one.
func selfReferrer(t testing.TB, offsets, forged bool) object {
	t.Helper()
	zeros := strings.Repeat("\x00", 32)
	contents := func(first, second string) []byte {
		return fileNAR(t, []byte("#!/nix/store/"+first+"-self\n"+strings.Repeat("text ", 50_000)+"/nix/store/"+second+"-self"))
	}
	blank := contents(zeros, zeros)
	modulo := bytes.Clone(blank)
	if offsets {
		first := bytes.Index(blank, []byte("/nix/store/"+zeros)) + len("/nix/store/")
		second := bytes.LastIndex(blank, []byte("/nix/store/"+zeros)) + len("/nix/store/")
		modulo = fmt.Appendf(modulo, "|%d|%d", first, second)
	}
	ca := storepath.ContentAddress{Method: storepath.MethodNAR, Hash: nixhash.Sum(nixhash.SHA256, modulo)}
	path, err := storepath.Default.FromContentAddress("self", ca, storepath.References{Self: true})
	require.NoError(t, err)
	archive := contents(path.HashPart(), path.HashPart())
	if forged {
		archive = contents(path.HashPart(), zeros)
	}
	return object{archive: archive, info: &narinfo.PathInfo{
		StoreDir: storepath.Default, Path: path, References: []storepath.Path{path}, CA: ca,
		NarHash: nixhash.Sum(nixhash.SHA256, archive), NarSize: int64(len(archive)),
	}}
}

// TestSelfReferences holds each form of a self-referring, content-addressed
// object against each kind of signature, on every way into and out of a cache.
func TestSelfReferences(t *testing.T) {
	key := newKey(t, "cache-1")
	keys := narinfo.TrustedKeys{key.Public()}
	signature := func(info *narinfo.PathInfo) narinfo.Signature {
		fingerprint, err := info.Fingerprint()
		require.NoError(t, err)
		sig, err := key.Sign(t.Context(), []byte(fingerprint))
		require.NoError(t, err)
		return sig
	}
	forms := []struct {
		name            string
		offsets, forged bool
	}{
		{"with offsets", true, false},
		{"without offsets", false, false},
		{"with offsets, forged", true, true},
		{"without offsets, forged", false, true},
	}
	vouchers := []struct {
		name string
		keys narinfo.TrustedKeys
		sign func(o object) []narinfo.Signature
	}{
		{"no keys", nil, func(object) []narinfo.Signature { return nil }},
		{"good signature", keys, func(o object) []narinfo.Signature { return []narinfo.Signature{signature(o.info)} }},
		{"wrong signature", keys, func(o object) []narinfo.Signature {
			other := with(o.info, func(i *narinfo.PathInfo) { i.NarSize++ })
			return []narinfo.Signature{signature(&other)}
		}},
		{"no signature", keys, func(object) []narinfo.Signature { return nil }},
	}
	ways := map[string]func(t *testing.T, o object, keys narinfo.TrustedKeys) error{
		"read": func(t *testing.T, o object, keys narinfo.TrustedKeys) error {
			return readNAR(t.Context(), newCache(t, forge(t, o.info, o.archive, "none").Bucket(), store.Settings{TrustedKeys: keys}), o)
		},
		"restore": func(t *testing.T, o object, keys narinfo.TrustedKeys) error {
			c := newCache(t, forge(t, o.info, o.archive, "none").Bucket(), store.Settings{TrustedKeys: keys})
			return store.Restore(t.Context(), c, o.info.Path, filepath.Join(t.TempDir(), "out"))
		},
		"file system": func(t *testing.T, o object, keys narinfo.TrustedKeys) error {
			c := newCache(t, forge(t, o.info, o.archive, "none").Bucket(), store.Settings{TrustedKeys: keys})
			return openFS(t.Context(), c, o)
		},
		"kept file system": func(t *testing.T, o object, keys narinfo.TrustedKeys) error {
			b, dir := forge(t, o.info, o.archive, "none").Bucket(), t.TempDir()
			_ = openFS(t.Context(), newCache(t, b, store.Settings{LocalNARCache: dir}), o)
			return openFS(t.Context(), newCache(t, b, store.Settings{LocalNARCache: dir, TrustedKeys: keys}), o)
		},
		"add": func(t *testing.T, o object, keys narinfo.TrustedKeys) error {
			c := newCache(t, memblob.New(), store.Settings{TrustedKeys: keys})
			_, err := c.Add(t.Context(), o.info, bytes.NewReader(o.archive), store.AddOptions{})
			return errorOrSound(t, c, err)
		},
		"copy, keys of the copy": func(t *testing.T, o object, keys narinfo.TrustedKeys) error {
			return copyOf(t, o, nil, nil, store.CopyOptions{TrustedKeys: keys}, "")
		},
		"copy, keys of the source": func(t *testing.T, o object, keys narinfo.TrustedKeys) error {
			return copyOf(t, o, keys, nil, store.CopyOptions{}, "")
		},
		"copy, keys of the destination": func(t *testing.T, o object, keys narinfo.TrustedKeys) error {
			return copyOf(t, o, nil, keys, store.CopyOptions{}, "")
		},
		"copy, compressed anew": func(t *testing.T, o object, keys narinfo.TrustedKeys) error {
			return copyOf(t, o, keys, nil, store.CopyOptions{TrustedKeys: keys}, "zstd")
		},
		"copy from a plain source": func(t *testing.T, o object, keys narinfo.TrustedKeys) error {
			src := struct{ store.Source }{forge(t, o.info, o.archive, "none")}
			dst := newCache(t, memblob.New(), store.Settings{})
			_, err := store.Copy(t.Context(), dst, src, []storepath.Path{o.info.Path}, store.CopyOptions{TrustedKeys: keys})
			return errorOrSound(t, dst, err)
		},
	}
	for _, form := range forms {
		for _, voucher := range vouchers {
			o := selfReferrer(t, form.offsets, form.forged)
			o.info.Signatures = voucher.sign(o)
			var want error
			switch {
			case form.offsets && form.forged:
				want = store.ErrMismatch
			case !form.offsets && voucher.name != "no keys" && voucher.name != "good signature":
				want = store.ErrUntrusted
			}
			for way, try := range ways {
				t.Run(form.name+"/"+voucher.name+"/"+way, func(t *testing.T) {
					err := try(t, o, voucher.keys)
					if want == nil {
						require.NoError(t, err)
						return
					}
					require.ErrorIs(t, err, want)
					require.ErrorIs(t, err, store.ErrMismatch)
				})
			}
		}
	}
}

// Whatever else a copy takes on trust, the form without offsets needs more than
// a content address.
func TestUnsignedSelfReferencesAreAlwaysVerified(t *testing.T) {
	keys := narinfo.TrustedKeys{newKey(t, "cache-1").Public()}
	o := selfReferrer(t, false, true)
	for _, verify := range []store.Verification{store.VerifyContents, store.VerifyFiles, store.VerifyNothing} {
		require.ErrorIs(t, copyOf(t, o, nil, nil, store.CopyOptions{TrustedKeys: keys, Verify: verify}, ""), store.ErrUntrusted)
		require.ErrorIs(t, copyOf(t, o, keys, nil, store.CopyOptions{Verify: verify}, ""), store.ErrUntrusted)
	}
	c := newCache(t, memblob.New(), store.Settings{})
	add := func(opts store.AddOptions) error {
		_, err := c.Prepare(t.Context(), o.info, bytes.NewReader(o.archive), opts)
		return err
	}
	require.NoError(t, add(store.AddOptions{}))
	require.ErrorIs(t, add(store.AddOptions{StrictContentAddress: true}), store.ErrUntrusted, "prepared before, and not under this condition")
}

// TestSelfReferencesOfNix reads what real Nix wrote: 2.34 without the offsets,
// 2.8 with them.
func TestSelfReferencesOfNix(t *testing.T) {
	text, err := os.ReadFile("testdata/caches/self-2.34/key.pub")
	require.NoError(t, err)
	newKeys, err := narinfo.ParseTrustedKeys(string(text))
	require.NoError(t, err)
	for name, keys := range map[string]narinfo.TrustedKeys{"self-2.34": newKeys, "full-xz": corpusKeys(t)} {
		for _, set := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, keys %v", name, set), func(t *testing.T) {
				opts := store.CopyOptions{All: true}
				if set {
					opts.TrustedKeys = keys
				}
				src, dst := open(t, corpusURL(t, name)), newCache(t, memblob.New(), store.Settings{})
				report, err := store.Copy(t.Context(), dst, src, nil, opts)
				require.NoError(t, err)
				require.Positive(t, report.Copied)
				requireSound(t, dst.Bucket())
				selfReferring := 0
				for info, err := range dst.NarInfos(t.Context()) {
					require.NoError(t, err)
					if !info.CA.IsZero() && slices.Contains(info.References, info.Path) {
						selfReferring++
					}
				}
				require.Positive(t, selfReferring)
			})
		}
	}
	untrusted := store.CopyOptions{All: true, TrustedKeys: narinfo.TrustedKeys{newKey(t, "other-1").Public()}}
	_, err = store.Copy(t.Context(), newCache(t, memblob.New(), store.Settings{}), open(t, corpusURL(t, "self-2.34")), nil, untrusted)
	require.ErrorIs(t, err, store.ErrUntrusted)
}

func readNAR(ctx context.Context, c *store.Cache, o object) error {
	r, err := c.NAR(ctx, o.info.Path)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, r)
	return err
}

func openFS(ctx context.Context, c *store.Cache, o object) error {
	fsys, err := c.FS(ctx, o.info.Path)
	if err != nil {
		return err
	}
	return fsys.Close()
}

// copyOf copies a forged cache's only path.
func copyOf(t *testing.T, o object, srcKeys, dstKeys narinfo.TrustedKeys, opts store.CopyOptions, compression narinfo.Compression) error {
	t.Helper()
	info := &narinfo.NarInfo{PathInfo: *o.info, URL: "nar/forged.nar", Compression: "none", FileHash: o.info.NarHash, FileSize: o.info.NarSize}
	src := newCache(t, forgeInfo(t, info, o.archive).Bucket(), store.Settings{TrustedKeys: srcKeys})
	dst := newCache(t, memblob.New(), store.Settings{TrustedKeys: dstKeys, Compression: compression})
	_, err := store.Copy(t.Context(), dst, src, []storepath.Path{o.info.Path}, opts)
	return errorOrSound(t, dst, err)
}

// errorOrSound returns err. It requires that the cache is sound, and empty where
// err is not nil.
func errorOrSound(t *testing.T, c *store.Cache, err error) error {
	t.Helper()
	report, serr := storetest.CheckCache(t.Context(), c.Bucket(), storetest.CheckOptions{})
	require.NoError(t, serr)
	require.Equal(t, err == nil, report.Paths == 1)
	return err
}
