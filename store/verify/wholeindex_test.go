package verify_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/layout"
	"example.com/nixs3/store/locate"
	"example.com/nixs3/store/storetest"
	"example.com/nixs3/store/verify"
)

// The indexes of a whole cache are read at the depth Contents, mirrors leave them
// out, and Repair removes those that cannot be read.
func TestIndexesOfTheWholeCache(t *testing.T) {
	key, err := narinfo.GenerateKey("ci-1", nil)
	require.NoError(t, err)
	keys := append(corpusKeys(t), key.Public())
	c := corpusCache(t, "full-xz")
	b := c.Bucket()
	before := check(t, c, verify.Options{Depth: verify.Contents, TrustedKeys: keys})
	_, err = locate.Update(t.Context(), c, locate.Options{})
	require.NoError(t, err)
	_, err = c.PublishPresence(t.Context(), store.PresenceOptions{Name: "ci", Signers: []narinfo.Signer{key}})
	require.NoError(t, err)
	require.Equal(t, before, check(t, c, verify.Options{Depth: verify.Contents, TrustedKeys: keys}))
	copied := memblob.New()
	_, err = verify.Mirror(t.Context(), newCache(t, copied), c, verify.MirrorOptions{})
	require.NoError(t, err)
	require.NotContains(t, contentsOf(t, copied), layout.FileIndexKey)
	require.NotContains(t, contentsOf(t, copied), layout.PresenceKey)

	presence := get(t, b, layout.PresenceKey)
	put(t, b, layout.FileIndexKey, []byte("x"))
	put(t, b, layout.PresenceKey, append(presence, 'x'))
	require.Zero(t, kindsOf(check(t, c, verify.Options{Depth: verify.Files, TrustedKeys: keys}))[verify.WholeIndexInvalid])
	require.Equal(t, 1, kindsOf(check(t, c, verify.Options{Depth: verify.Contents}))[verify.WholeIndexInvalid], "an index of paths is read with keys only")
	found := slices.DeleteFunc(check(t, c, verify.Options{Depth: verify.Contents, TrustedKeys: keys}), func(f verify.Finding) bool {
		return f.Kind != verify.WholeIndexInvalid
	})
	require.Len(t, found, 2)
	_, err = verify.Repair(t.Context(), c, slices.Values(found), verify.RepairOptions{Remove: true})
	require.NoError(t, err)
	require.Equal(t, before, check(t, c, verify.Options{Depth: verify.Contents, TrustedKeys: keys}))
	require.NotContains(t, contentsOf(t, b), layout.FileIndexKey)
}

// An index that cannot be fetched is not checked, which is not a fault of it.
func TestIndexThatCannotBeFetched(t *testing.T) {
	failing := storetest.NewFaultBucket(memblob.New(), func(op storetest.Operation) storetest.Fault {
		if op.Op == "Get" && op.Key == layout.FileIndexKey {
			return storetest.Fault{Kind: "error"}
		}
		return storetest.Fault{}
	})
	c := newCache(t, failing)
	put(t, failing, layout.CacheInfoKey, []byte("StoreDir: /nix/store\n"))
	var unchecked *verify.UncheckedError
	for f, err := range verify.Check(t.Context(), c, verify.Options{Depth: verify.Contents}) {
		require.Empty(t, f)
		require.True(t, errors.As(err, &unchecked), "%v", err)
	}
	require.ErrorContains(t, unchecked, layout.FileIndexKey)
}
