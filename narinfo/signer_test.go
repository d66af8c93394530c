package narinfo_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
)

// remoteKey is a signer whose service may have another key than its public key
// says.
type remoteKey struct {
	narinfo.SecretKey
	public narinfo.PublicKey
}

func (k remoteKey) Public() narinfo.PublicKey { return k.public }

func TestSignerWithAWrongKeyIsRefused(t *testing.T) {
	key := func(name string) narinfo.SecretKey {
		k, err := narinfo.GenerateKey(name, nil)
		require.NoError(t, err)
		return k
	}
	right, wrong := key("cache-1"), key("cache-1")
	info := &narinfo.PathInfo{StoreDir: "/nix/store", Path: mustPath(t), NarHash: nixhash.FromSHA256([32]byte{1}), NarSize: 1}
	realisation := &narinfo.Realisation{ID: narinfo.DrvOutput{DrvHash: nixhash.FromSHA256([32]byte{1}), Output: "out"}, OutPath: info.Path}
	for name, public := range map[string]narinfo.PublicKey{
		"another key of the name":   right.Public(),
		"a key of another name":     key("cache-2").Public(),
		"none, though it has to be": {},
	} {
		signer := remoteKey{wrong, public}
		assert.ErrorContains(t, info.Sign(t.Context(), right, signer), "does not verify", name)
		assert.Empty(t, info.Signatures, name)
		assert.ErrorContains(t, realisation.Sign(t.Context(), signer), "does not verify", name)
		assert.Empty(t, realisation.Signatures, name)
	}
	assert.NoError(t, info.Sign(t.Context(), remoteKey{right, right.Public()}))
	assert.NoError(t, narinfo.TrustedKeys{right.Public()}.Verify(info))
}

func mustPath(t *testing.T) storepath.Path {
	p, err := storepath.ParseBase("p4pclmv1gyja5kzc26npqpia1qqxrf0l-ruby-2.7.3")
	require.NoError(t, err)
	return p
}
