package codec_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/codec"
)

// narHashes are those of the store paths in testdata/corpus, in hex. Each
// folder holds the same NAR as a real Nix compressed it, a file a codec.
var narHashes = map[string]string{
	"emptydir":  "a50a5ab6d992f5598edd92105059fae9acfc192981e08bd88534c2167e92526a",
	"hello":     "452bcde8591d146c8f3cc208b64497c2b47ded985e4b8a3587ffc6b605d6e2e1",
	"text-300k": "159cd119e0b94856f9b4ad252ec8c15d1e5b2e905e43614c4b4114b381347900",
}

func TestCorpus(t *testing.T) {
	for dir, hash := range narHashes {
		files, err := filepath.Glob(filepath.Join("testdata/corpus", dir, "*"))
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(files), 5)
		for _, file := range files {
			name := filepath.Base(file)
			t.Run(dir+"/"+name, func(t *testing.T) {
				data, err := os.ReadFile(file)
				require.NoError(t, err)
				got, err := decode(name, data, codec.ReaderOptions{})
				require.NoError(t, err)
				assert.Equal(t, hash, fmt.Sprintf("%x", sha256.Sum256(got)))
				if name != "br" {
					assert.Equal(t, name, codec.Detect(data))
				}
			})
		}
	}
}
