package lab_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/internal/lab"
)

func TestCorpus(t *testing.T) {
	for _, name := range append([]string{"self-2.34"}, lab.Caches...) {
		text, err := os.ReadFile(filepath.Join(lab.Cache(t, name), "nix-cache-info"))
		require.NoError(t, err)
		assert.Contains(t, string(text), "StoreDir: /nix/store", name)
	}
	assert.Contains(t, lab.PublicKey(t), "lab-cache-1:")
}
