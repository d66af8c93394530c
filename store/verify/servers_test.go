package verify_test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/store"
	"example.com/nixs3/store/internal/lab"
	"example.com/nixs3/store/verify"
)

func openServer(t testing.TB, url string) *store.Cache {
	t.Helper()
	c, err := store.Open(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func TestNoSignatureIsLostOnServers(t *testing.T) {
	for i, server := range lab.Servers(t) {
		t.Run(server.Name, func(t *testing.T) {
			url, n := server.URL(t), 1000
			if i > 0 {
				n = 100 // the others do the same in less time
			}
			paths := fill(t, openServer(t, url).Bucket(), n)
			start := time.Now()
			signAtOnce(t, paths, func(int) *store.Cache { return openServer(t, url) })
			t.Logf("ten writers signed %d paths in %v", n, time.Since(start))
		})
	}
}

// TestSigningSpeed compares Sign with what its parts take alone: a signature,
// a GET and a PUT for each path, 64 at a time. It runs where NIXS3_MEASURE is
// set.
func TestSigningSpeed(t *testing.T) {
	if os.Getenv("NIXS3_MEASURE") == "" {
		t.Skip("NIXS3_MEASURE is not set")
	}
	for _, server := range lab.Servers(t) {
		t.Run(server.Name, func(t *testing.T) {
			url := server.URL(t)
			c := openServer(t, url)
			const n = 10_000
			paths := fill(t, c.Bucket(), n)
			key := newKey(t, "cache-1")
			ideal := bestOf(3, func(i int) { signIdeally(t, c, paths, newKey(t, "ideal-1")) })
			sign := bestOf(3, func(i int) {
				r, err := verify.Sign(t.Context(), c, paths, verify.SignOptions{Signers: []narinfo.Signer{key}})
				require.NoError(t, err)
				require.Equal(t, n, r.Changed)
				key = newKey(t, key.KeyName()+"x")
			})
			t.Logf("ideal %v, Sign %v: %.2f of the ideal", ideal, sign, float64(ideal)/float64(sign))
		})
	}
}
