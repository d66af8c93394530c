package verify_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/fileblob"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/layout"
	"example.com/nixs3/store/verify"
)

func newKey(t testing.TB, name string) narinfo.SecretKey {
	t.Helper()
	key, err := narinfo.GenerateKey(name, nil)
	require.NoError(t, err)
	return key
}

// fill puts narinfos without archives into a bucket, which is all that signing
// looks at.
func fill(t testing.TB, b blob.Bucket, n int) []storepath.Path {
	t.Helper()
	put(t, b, layout.CacheInfoKey, []byte("StoreDir: /nix/store\n"))
	paths := make([]storepath.Path, n)
	for i := range paths {
		h := narinfoHash(fmt.Sprint(i))
		paths[i] = path(h.Nix32()[:32] + "-path")
		info := &narinfo.NarInfo{
			PathInfo: narinfo.PathInfo{StoreDir: "/nix/store", Path: paths[i], NarHash: h, NarSize: 100},
			URL:      "nar/x.nar", Compression: "none",
		}
		text, err := info.MarshalText()
		require.NoError(t, err)
		put(t, b, layout.NarInfoKey(paths[i].HashPart()), text)
	}
	return paths
}

func signaturesOf(t testing.TB, c *store.Cache, p storepath.Path) []string {
	t.Helper()
	info, err := c.NarInfo(t.Context(), p)
	require.NoError(t, err)
	var names []string
	for _, sig := range info.Signatures {
		names = append(names, sig.KeyName)
	}
	return names
}

func TestSignAddsAndRemoves(t *testing.T) {
	b := memblob.New()
	paths := fill(t, b, 3)
	c := newCache(t, b)
	old, young := newKey(t, "cache-1"), newKey(t, "cache-2")

	r, err := verify.Sign(t.Context(), c, nil, verify.SignOptions{All: true, Signers: []narinfo.Signer{old}})
	require.NoError(t, err)
	require.Equal(t, 3, r.Changed)
	require.Len(t, r.Keys, 3)
	again, err := verify.Sign(t.Context(), c, paths, verify.SignOptions{Signers: []narinfo.Signer{old}})
	require.NoError(t, err)
	require.Equal(t, 3, again.Unchanged)
	require.Empty(t, again.Keys)

	dry, err := verify.Sign(t.Context(), c, paths, verify.SignOptions{Signers: []narinfo.Signer{young}, DryRun: true})
	require.NoError(t, err)
	require.Equal(t, 3, dry.Changed)
	require.Equal(t, []string{"cache-1"}, signaturesOf(t, c, paths[0]))

	_, err = verify.Sign(t.Context(), c, paths[:2], verify.SignOptions{Signers: []narinfo.Signer{young}, RemoveKeys: []string{"cache-1"}})
	require.NoError(t, err)
	require.Equal(t, []string{"cache-2"}, signaturesOf(t, c, paths[0]))
	require.Equal(t, []string{"cache-1"}, signaturesOf(t, c, paths[2]))

	// A new key of the old name takes the old one's place.
	renewed := newKey(t, "cache-2")
	_, err = verify.Sign(t.Context(), c, paths, verify.SignOptions{Signers: []narinfo.Signer{renewed}, RemoveKeys: []string{"cache-2"}})
	require.NoError(t, err)
	info, err := c.NarInfo(t.Context(), paths[0])
	require.NoError(t, err)
	require.Len(t, info.Signatures, 1)
	require.NoError(t, narinfo.TrustedKeys{renewed.Public()}.Verify(&info.PathInfo))
	for key := range contentsOf(t, b) {
		require.NotEqual(t, layout.Control, layout.KindOf(key), "nothing is left behind")
	}
}

func TestSignVouchesOnlyForWhatIsSigned(t *testing.T) {
	c := corpusCache(t, "full-xz")
	before := contentsOf(t, c.Bucket())
	key, stranger := newKey(t, "new-1"), newKey(t, "stranger-1")
	opts := verify.SignOptions{All: true, Signers: []narinfo.Signer{key}, IfSignedBy: narinfo.TrustedKeys{stranger.Public()}}
	r, err := verify.Sign(t.Context(), c, nil, opts)
	require.NoError(t, err)
	require.Zero(t, r.Changed)
	require.Len(t, r.Skipped, 47, "content-addressed ones too")
	require.ErrorIs(t, r.Skipped[0], narinfo.ErrUntrusted)
	require.Equal(t, before, contentsOf(t, c.Bucket()))

	info := infoOf(t, c.Bucket(), hello)
	info.NarSize++
	text, err := info.MarshalText()
	require.NoError(t, err)
	put(t, c.Bucket(), infoKey(info), text)
	opts.IfSignedBy, opts.All = corpusKeys(t), false
	r, err = verify.Sign(t.Context(), c, []storepath.Path{info.Path, infoOf(t, c.Bucket(), referrer).Path}, opts)
	require.NoError(t, err)
	require.Equal(t, 1, r.Changed)
	require.Equal(t, info.Path, r.Skipped[0].Path)
}

// wrongKey is a signer whose service holds another key than it should.
type wrongKey struct {
	narinfo.SecretKey
	public narinfo.PublicKey
}

func (k wrongKey) Public() narinfo.PublicKey { return k.public }

// failing is a signer that fails after some signatures.
type failing struct {
	narinfo.SecretKey
	after *int
}

var errService = errors.New("service is down")

func (k failing) Sign(ctx context.Context, fingerprint []byte) (narinfo.Signature, error) {
	if *k.after--; *k.after < 0 {
		return narinfo.Signature{}, errService
	}
	return k.SecretKey.Sign(ctx, fingerprint)
}

func TestBadSignersPublishNothing(t *testing.T) {
	right, wrong := newKey(t, "cache-1"), newKey(t, "cache-1")
	after := 5
	for name, signer := range map[string]narinfo.Signer{
		"a wrong key":    wrongKey{wrong, right.Public()},
		"a dead service": failing{right, &after},
	} {
		b := memblob.New()
		paths := fill(t, b, 20)
		before := contentsOf(t, b)
		_, err := verify.Sign(t.Context(), newCache(t, b, one), paths, verify.SignOptions{Signers: []narinfo.Signer{right, signer}})
		require.Error(t, err, name)
		require.Equal(t, before, contentsOf(t, b), name)

		// Nor does an upload by such a signer.
		_, err = newCache(t, b, one).AddSignatures(t.Context(), paths[0], signer)
		require.Error(t, err, name)
		require.Equal(t, before, contentsOf(t, b), name)
	}
}

func TestSignFailsForSinglePaths(t *testing.T) {
	b := memblob.New()
	paths := fill(t, b, 3)
	put(t, b, layout.NarInfoKey(paths[1].HashPart()), []byte("broken"))
	gone := path("00000000000000000000000000000000-gone")
	other := path(paths[2].HashPart() + "-other")
	r, err := verify.Sign(t.Context(), newCache(t, b), append(paths[:2:2], gone, other), verify.SignOptions{Signers: []narinfo.Signer{newKey(t, "cache-1")}})
	require.ErrorContains(t, err, "3 of 4 paths could not be signed")
	require.Equal(t, 1, r.Changed)
	require.Len(t, r.Failed, 3)

	_, err = verify.Sign(t.Context(), newCache(t, b), paths, verify.SignOptions{})
	require.ErrorContains(t, err, "neither a key")
}

// The writers of these tests begin at once, with caches of their own.
const writers = 10

// signAtOnce lets ten writers sign the same paths, each with a key of its own,
// and requires that every path has all signatures in the end.
func signAtOnce(t *testing.T, paths []storepath.Path, open func(i int) *store.Cache) {
	t.Helper()
	var keys narinfo.TrustedKeys
	var wg sync.WaitGroup
	errs := make([]error, writers)
	for i := range writers {
		key := newKey(t, fmt.Sprintf("writer-%d", i))
		keys = append(keys, key.Public())
		c := open(i)
		wg.Go(func() {
			_, errs[i] = verify.Sign(t.Context(), c, paths, verify.SignOptions{Signers: []narinfo.Signer{key}})
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	c := open(writers)
	for _, p := range paths {
		info, err := c.NarInfo(t.Context(), p)
		require.NoError(t, err)
		for _, key := range keys {
			require.NoError(t, narinfo.TrustedKeys{key}.Verify(&info.PathInfo), "%s has lost the signature of %s", p, key.Name())
		}
		require.Len(t, info.Signatures, writers)
	}
}

// stubborn is a bucket that does with IfMatch what some servers do. It answers
// writes after other goroutines have had a turn, so that they overlap.
type stubborn struct {
	blob.Bucket
	ifMatch func(*blob.PutOptions) error
}

func (s *stubborn) Put(ctx context.Context, key string, content blob.Content, opts blob.PutOptions) (blob.Attrs, error) {
	time.Sleep(50 * time.Microsecond)
	if opts.IfMatch != "" {
		if err := s.ifMatch(&opts); err != nil {
			return blob.Attrs{}, &blob.Error{Op: "Put", Key: key, Err: err}
		}
	}
	return s.Bucket.Put(ctx, key, content, opts)
}

func TestNoSignatureIsLost(t *testing.T) {
	for name, ifMatch := range map[string]func(*blob.PutOptions) error{
		"conditions are kept":        func(*blob.PutOptions) error { return nil },
		"conditions are ignored":     func(o *blob.PutOptions) error { o.IfMatch = ""; return nil },
		"conditions are unsupported": func(*blob.PutOptions) error { return errors.ErrUnsupported },
	} {
		t.Run(name, func(t *testing.T) {
			b := memblob.New()
			paths := fill(t, b, 12)
			signAtOnce(t, paths, func(int) *store.Cache { return newCache(t, &stubborn{b, ifMatch}) })
		})
	}
	t.Run("a directory, several processes", func(t *testing.T) {
		dir := t.TempDir()
		b, err := fileblob.Open(dir, fileblob.Options{Create: true})
		require.NoError(t, err)
		paths := fill(t, b, 12)
		signAtOnce(t, paths, func(int) *store.Cache {
			b, err := fileblob.Open(dir, fileblob.Options{})
			require.NoError(t, err)
			return newCache(t, b)
		})
	})
}

func TestSignVouchesForNothingThatCameMeanwhile(t *testing.T) {
	c := corpusCache(t, "zstd")
	info := infoOf(t, c.Bucket(), hello)
	forged := info.Clone()
	forged.NarHash = narinfoHash("forged")
	text, err := forged.MarshalText()
	require.NoError(t, err)
	var once sync.Once
	held := &held{stubborn{c.Bucket(), func(*blob.PutOptions) error { return nil }}, func(key string) {
		if key == infoKey(info) {
			once.Do(func() { put(t, c.Bucket(), key, text) })
		}
	}}
	r, err := verify.Sign(t.Context(), newCache(t, held), []storepath.Path{info.Path}, verify.SignOptions{
		Signers: []narinfo.Signer{newKey(t, "new-1")}, IfSignedBy: corpusKeys(t),
	})
	require.NoError(t, err)
	require.Len(t, r.Skipped, 1)
	require.Zero(t, r.Changed)
	require.Equal(t, string(text), string(get(t, c.Bucket(), infoKey(info))))
}

func TestSignGoesOnPastAPathWithoutFingerprint(t *testing.T) {
	b := memblob.New()
	paths := fill(t, b, 2)
	key := layout.NarInfoKey(paths[0].HashPart())
	text := strings.Replace(string(get(t, b, key)), "NarHash: sha256:", "NarHash: sha512:", 1)
	put(t, b, key, []byte(text))
	r, err := verify.Sign(t.Context(), newCache(t, b), paths, verify.SignOptions{Signers: []narinfo.Signer{newKey(t, "cache-1")}})
	require.Error(t, err)
	require.Len(t, r.Failed, 1)
	require.Equal(t, 1, r.Changed)
}

func TestASlowWriterPutsBackWhatItOverwrites(t *testing.T) {
	b := memblob.New()
	paths := fill(t, b, 1)
	slow, quick := newKey(t, "slow-1"), newKey(t, "quick-1")
	var once sync.Once
	ignored := func(o *blob.PutOptions) error { o.IfMatch = ""; return nil }
	held := &held{stubborn{b, ignored}, func(key string) {
		if layout.KindOf(key) == layout.NarInfo {
			once.Do(func() {
				_, err := verify.Sign(t.Context(), newCache(t, &stubborn{b, ignored}), paths, verify.SignOptions{Signers: []narinfo.Signer{quick}})
				require.NoError(t, err)
			})
		}
	}}
	_, err := verify.Sign(t.Context(), newCache(t, held), paths, verify.SignOptions{Signers: []narinfo.Signer{slow}})
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"slow-1", "quick-1"}, signaturesOf(t, newCache(t, b), paths[0]))
}

// held lets something happen before a write.
type held struct {
	stubborn
	before func(key string)
}

func (h *held) Put(ctx context.Context, key string, content blob.Content, opts blob.PutOptions) (blob.Attrs, error) {
	h.before(key)
	return h.stubborn.Put(ctx, key, content, opts)
}

func TestRemovedKeysStayRemovedBesideSlowWriters(t *testing.T) {
	b := memblob.New()
	paths := fill(t, b, 1)
	retired, slow := newKey(t, "retired-1"), newKey(t, "slow-1")
	_, err := verify.Sign(t.Context(), newCache(t, b), paths, verify.SignOptions{Signers: []narinfo.Signer{retired}})
	require.NoError(t, err)
	ignored := func(o *blob.PutOptions) error { o.IfMatch = ""; return nil }
	var once sync.Once
	held := &held{stubborn{b, ignored}, func(key string) {
		if layout.KindOf(key) == layout.NarInfo {
			once.Do(func() {
				_, err := verify.Sign(t.Context(), newCache(t, &stubborn{b, ignored}), paths, verify.SignOptions{RemoveKeys: []string{"retired-1"}})
				require.NoError(t, err)
			})
		}
	}}
	_, err = verify.Sign(t.Context(), newCache(t, held), paths, verify.SignOptions{Signers: []narinfo.Signer{slow}})
	require.NoError(t, err)
	require.Equal(t, []string{"slow-1"}, signaturesOf(t, newCache(t, b), paths[0]))
}

func FuzzAnnouncement(f *testing.F) {
	f.Add(`{"signatures":{"00000000000000000000000000000000":["a:x"]},"removeKeys":["a"]}`)
	f.Add("{}")
	key, err := narinfo.GenerateKey("cache-1", nil)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, text string) {
		b := memblob.New()
		paths := fill(t, b, 1)
		put(t, b, "nixs3/signing/other.json", []byte(text))
		_, err := verify.Sign(t.Context(), newCache(t, b), paths, verify.SignOptions{Signers: []narinfo.Signer{key}})
		if err == nil && len(signaturesOf(t, newCache(t, b), paths[0])) == 0 {
			t.Fatal("not signed")
		}
	})
}
