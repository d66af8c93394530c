package storetest

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/blob"
)

// oddKeys are keys of real caches, and keys that get lost if one layer encodes,
// decodes, folds or normalises what the next does not.
var oddKeys = []string{
	"nix-cache-info",
	"p4pclmv1gyja5kzc26npqpia1qqxrf0l.narinfo",
	"nar/1w1fff338fvdw53sqgamddn1b2xgds473pv6y13gizdbqjv4i5p3.nar.zst",
	"log/p4pclmv1gyja5kzc26npqpia1qqxrf0l-gtk+-3.0?=1.drv",
	"realisations/sha256:2fb7f7c4d5a1c1b0a3b0a9dd1f6c8ac5b8e9bd0d6f0f5d5d5b5c5d5e5f505152!out.doi",
	"debuginfo/abcdef0123456789abcdef0123456789abcdef01.debug",

	// Some layer confuses any two of these.
	"odd/a b", "odd/a+b", "odd/a%20b", "odd/a%2Bb", "odd/a%2520b", "odd/a_b",
	"odd/query?x=y&z", "odd/query", "odd/query%3Fx=y&z",
	"odd/fragment#x", "odd/fragment",
	"odd/percent%", "odd/percent%zz", "odd/percent%%25",
	"odd/case", "odd/CASE",
	"odd/\u00e9", "odd/e\u0301",

	"odd/!", "odd/:", "odd/=", "odd/@", "odd/$", "odd/&", "odd/,", "odd/;", "odd/~", "odd/'", `odd/"`, "odd/*",
	"odd/(x)", "odd/[x]", "odd/{x}", "odd/<x>", `odd/back\slash`, "odd/|", "odd/^", "odd/`",
	"odd/ leading space", "odd/trailing space ", "odd/two  spaces", " ",
	"odd/Grüße/日本語/😀",
	"odd/.hidden", "odd/a..b", "odd/...", "odd/-", "-dash",
	"C:", "http:x",
	strings.Repeat(strings.Repeat("long", 50)+"/", 5) + strings.Repeat("k", blob.MaxKeyLength-5*201),
}

func testKeys(t *testing.T, s *suite) {
	s.run(t, "survive every operation beside each other", func(t *testing.T, b blob.Bucket) {
		ctx := t.Context()
		keys := s.storable(oddKeys)
		content := func(key string) []byte { return []byte("content of <" + key + ">") }

		for _, key := range keys {
			_, err := b.Put(ctx, key, bytes.NewReader(content(key)), blob.PutOptions{})
			require.NoError(t, err)
		}
		for _, key := range keys {
			requireObject(t, b, key, content(key))
			attrs, err := b.Head(ctx, key)
			require.NoError(t, err)
			require.Equal(t, key, attrs.Key)
			require.EqualValues(t, len(content(key)), attrs.Size)

			obj, err := b.Get(ctx, key, blob.GetOptions{Offset: 12, Length: int64(len(key))})
			require.NoError(t, err)
			requireBody(t, obj, []byte(key))
		}
		if !s.features.NoList {
			sorted := slices.Sorted(slices.Values(keys))
			require.Equal(t, sorted, list(t, b, blob.ListOptions{}), "List")
			for _, key := range keys {
				require.Contains(t, list(t, b, blob.ListOptions{Prefix: key}), key, "List with the key as prefix")
			}
			for i, key := range sorted {
				require.Equal(t, sorted[i+1:], list(t, b, blob.ListOptions{StartAfter: key}), "List after %q", key)
			}
		}
		half := len(keys) / 2
		require.NoError(t, b.Delete(ctx, keys[:half]...))
		for _, key := range keys[:half] {
			requireAbsent(t, b, key)
		}
		for _, key := range keys[half:] {
			require.NoError(t, b.Delete(ctx, key))
			requireAbsent(t, b, key)
		}
	})

	s.run(t, "that are invalid are refused", func(t *testing.T, b blob.Bucket) {
		for _, key := range []string{"", "not UTF-8 \xff", "NUL \x00", strings.Repeat("k", blob.MaxKeyLength+1)} {
			_, err := b.Put(t.Context(), key, strings.NewReader("x"), blob.PutOptions{})
			require.Error(t, err, "Put %q", key)
			_, err = b.Head(t.Context(), key)
			require.Error(t, err, "Head %q", key)
		}
	})
}
