package store_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/memblob"
)

// wrongKey is a signer whose service holds another key than it should.
type wrongKey struct {
	narinfo.SecretKey
	public narinfo.PublicKey
}

func (k wrongKey) Public() narinfo.PublicKey { return k.public }

// TestAWrongKeyPublishesNothing names every way in which a signature gets into a
// cache.
func TestAWrongKeyPublishesNothing(t *testing.T) {
	o := newObject(t, 1, []byte("x"))
	signer := wrongKey{newKey(t, "cache-1"), newKey(t, "cache-1").Public()}
	src := open(t, "mem://")
	add(t, src, o, store.AddOptions{})
	paths := []storepath.Path{o.info.Path}
	for name, publish := range map[string]func(dst *store.Cache) error{
		"Add": func(dst *store.Cache) error {
			_, err := dst.Add(t.Context(), o.info, bytes.NewReader(o.archive), store.AddOptions{Signers: []narinfo.Signer{signer}})
			return err
		},
		"Copy": func(dst *store.Cache) error {
			_, err := store.Copy(t.Context(), dst, src, paths, store.CopyOptions{Signers: []narinfo.Signer{signer}})
			return err
		},
		"Copy of a path that is there": func(dst *store.Cache) error {
			add(t, dst, o, store.AddOptions{})
			_, err := store.Copy(t.Context(), dst, src, paths, store.CopyOptions{Signers: []narinfo.Signer{signer}})
			return err
		},
		"AddSignatures": func(dst *store.Cache) error {
			add(t, dst, o, store.AddOptions{})
			_, err := dst.AddSignatures(t.Context(), o.info.Path, signer)
			return err
		},
		"settings of the cache": func(dst *store.Cache) error {
			settings := dst.Settings()
			settings.Signers = []narinfo.Signer{signer}
			signing := newCache(t, dst.Bucket(), settings)
			_, err := signing.Add(t.Context(), o.info, bytes.NewReader(o.archive), store.AddOptions{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			dst := newCache(t, memblob.New(), store.Settings{})
			require.ErrorContains(t, publish(dst), "does not verify by the public key")
			info, err := dst.NarInfo(t.Context(), o.info.Path)
			if err == nil {
				require.Empty(t, info.Signatures)
			} else {
				require.ErrorIs(t, err, store.ErrNotFound)
			}
		})
	}
}

// counted counts how often it signs.
type counted struct {
	narinfo.SecretKey
	signs *int
}

func (k counted) Sign(ctx context.Context, fingerprint []byte) (narinfo.Signature, error) {
	*k.signs++
	return k.SecretKey.Sign(ctx, fingerprint)
}

func TestASignerIsNotAskedTwice(t *testing.T) {
	c, o, signs := newCache(t, memblob.New(), store.Settings{}), newObject(t, 1, []byte("x")), 0
	key := counted{newKey(t, "k-1"), &signs}
	add(t, c, o, store.AddOptions{})
	for range 3 {
		_, err := c.AddSignatures(t.Context(), o.info.Path, key)
		require.NoError(t, err)
	}
	require.Equal(t, 1, signs)
}

func TestSignaturesOfVouchForOneDescription(t *testing.T) {
	c, o := newCache(t, memblob.New(), store.Settings{}), newObject(t, 1, []byte("x"))
	add(t, c, o, store.AddOptions{})
	theirs := o.info.Clone()
	require.NoError(t, theirs.Sign(t.Context(), newKey(t, "theirs-1")))
	signers, err := store.SignaturesOf(theirs)
	require.NoError(t, err)
	got, err := c.AddSignatures(t.Context(), o.info.Path, signers...)
	require.NoError(t, err)
	require.Equal(t, theirs.Signatures, got.Signatures)

	theirs.NarSize++
	signers, err = store.SignaturesOf(theirs)
	require.NoError(t, err)
	_, err = c.AddSignatures(t.Context(), o.info.Path, signers...)
	require.ErrorIs(t, err, store.ErrMismatch)
}

// TestEditNarInfoEnds has a server that refuses every conditional write.
func TestEditNarInfoEnds(t *testing.T) {
	b, o, puts := memblob.New(), newObject(t, 1, []byte("x")), 0
	add(t, newCache(t, b, store.Settings{}), o, store.AddOptions{})
	refusing := blob.Intercept(b, func(ctx context.Context, call *blob.Call, do func(context.Context) error) error {
		if call.Op == "Put" {
			puts++
			return &blob.Error{Op: call.Op, Key: call.Key, Err: blob.ErrPrecondition}
		}
		return do(ctx)
	})
	_, err := newCache(t, refusing, store.Settings{}).AddSignatures(t.Context(), o.info.Path, newKey(t, "k-1"))
	require.ErrorIs(t, err, blob.ErrPrecondition)
	require.Less(t, puts, 20)
}
