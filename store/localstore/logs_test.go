package localstore_test

import (
	"encoding/base64"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
)

// bzipped is "a log\n", compressed with bzip2.
const bzipped = "QlpoOTFBWSZTWeS6t9EAAAFRAAAQQAAghKAAIYAMAkeu4u5IpwoSHJdW+iA="

func TestLogs(t *testing.T) {
	f := newFixture(t)
	write := func(p storepath.Path, suffix string, data []byte) {
		file := filepath.Join(f.root, "nix/var/log/nix/drvs", p.String()[:2], p.String()[2:]+suffix)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, data, 0o644))
	}
	s := f.open()
	for range s.Logs(t.Context()) {
		require.Fail(t, "there is no log yet")
	}
	data, err := base64.StdEncoding.DecodeString(bzipped)
	require.NoError(t, err)
	write(path(1), ".bz2", data)
	write(path(2), "", []byte("a log\n"))
	require.NoError(t, os.WriteFile(filepath.Join(f.root, "nix/var/log/nix/drvs", path(1).String()[:2], "other"), nil, 0o644))
	for _, n := range []int{1, 2} {
		r, err := s.Log(t.Context(), path(n))
		require.NoError(t, err)
		text, err := io.ReadAll(r)
		require.NoError(t, err)
		require.NoError(t, r.Close())
		assert.Equal(t, "a log\n", string(text))
	}
	for _, p := range []storepath.Path{path(3), {}} {
		_, err = s.Log(t.Context(), p)
		require.ErrorIs(t, err, store.ErrNotFound)
	}
	var found []storepath.Path
	for p, err := range s.Logs(t.Context()) {
		require.NoError(t, err)
		found = append(found, p)
	}
	assert.ElementsMatch(t, []storepath.Path{path(1), path(2)}, found)

	require.NoError(t, os.Mkdir(filepath.Join(f.root, "nix/var/log/nix/drvs", path(3).String()[:2]), 0o755))
	require.NoError(t, os.Mkdir(filepath.Join(f.root, "nix/var/log/nix/drvs", path(3).String()[:2], path(3).String()[2:]), 0o755))
	_, err = s.Log(t.Context(), path(3))
	require.ErrorContains(t, err, "not a regular file")
}
