package verify_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/storetest"
	"example.com/nixs3/store/verify"
)

var depths = []verify.Depth{verify.Listing, verify.Metadata, verify.Files, verify.Contents}

func TestCorpusIsSound(t *testing.T) {
	for _, name := range corpus {
		c := corpusCache(t, name)
		_, err := storetest.CheckCache(t.Context(), c.Bucket(), storetest.CheckOptions{})
		require.NoError(t, err)
		for _, depth := range depths {
			t.Run(name+"/"+depth.String(), func(t *testing.T) {
				require.Empty(t, check(t, c, verify.Options{Depth: depth, TrustedKeys: corpusKeys(t)}))
			})
		}
	}
}
