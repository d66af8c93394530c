package narinfo_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
)

// corpus returns the narinfos that Nix 2.8 wrote, by the name of their cache.
// Empty lines separate them in the files.
func corpus(t testing.TB) map[string][]string {
	t.Helper()
	files, err := filepath.Glob("testdata/caches/*.txt")
	require.NoError(t, err)
	require.Len(t, files, 6)
	texts := map[string][]string{}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		for _, text := range strings.Split(readFile(t, file), "\n\n") {
			texts[name] = append(texts[name], strings.TrimSuffix(text, "\n")+"\n")
		}
	}
	return texts
}

// fromCorpus returns the narinfo of a path in the cache with everything.
func fromCorpus(t testing.TB, base string) string {
	t.Helper()
	for _, text := range corpus(t)["full-xz"] {
		if strings.HasPrefix(text, "StorePath: /nix/store/"+base+"\n") {
			return text
		}
	}
	require.Fail(t, "no such path in the corpus", base)
	return ""
}

const (
	helloBase   = "jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6-hello-1.0"
	wrapperBase = "a6qzp68m5h3sa7v283h5l0250s2ccj7g-wrapper-1.0"
)

func readFile(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(data)
}

func parse(t testing.TB, text string) *narinfo.NarInfo {
	t.Helper()
	n, err := narinfo.Parse([]byte(text))
	require.NoError(t, err)
	return n
}

func trusted(t testing.TB, names ...string) narinfo.TrustedKeys {
	t.Helper()
	var keys narinfo.TrustedKeys
	for _, name := range names {
		more, err := narinfo.ParseTrustedKeys(readFile(t, "testdata/keys/"+name+".pub"))
		require.NoError(t, err)
		keys = append(keys, more...)
	}
	return keys
}

func secret(t testing.TB, name string) narinfo.SecretKey {
	t.Helper()
	key, err := narinfo.LoadSecretKey("testdata/keys/" + name + ".sec")
	require.NoError(t, err)
	return key
}

func storePath(t testing.TB, base string) storepath.Path {
	t.Helper()
	p, err := storepath.ParseBase(base)
	require.NoError(t, err)
	return p
}

// TestCorpus compares the results for every narinfo of six real caches with those
// of Nix.
func TestCorpus(t *testing.T) {
	keys := trusted(t, "lab-cache-1")
	sec := secret(t, "lab-cache-1")
	total := 0
	for name, texts := range corpus(t) {
		t.Run(name, func(t *testing.T) {
			for _, text := range texts {
				total++
				n := parse(t, text)
				out, err := n.MarshalText()
				require.NoError(t, err)
				require.Equal(t, text, string(out), "prints back identically")
				require.NoError(t, n.Validate())

				// Without its content address only the signature counts.
				signed := n.Clone()
				signed.CA = storepath.ContentAddress{}
				require.NoError(t, keys.Verify(&signed.PathInfo))

				again := n.Clone()
				again.Signatures = nil
				require.NoError(t, again.Sign(t.Context(), sec))
				require.Contains(t, n.Signatures, again.Signatures[0], "signs as Nix does")

				if !n.CA.IsZero() {
					require.NoError(t, n.VerifyContentAddress())
				}
			}
		})
	}
	assert.Equal(t, 5*28+47, total)
}
