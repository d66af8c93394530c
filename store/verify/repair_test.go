package verify_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/nar"
	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/gc"
	"example.com/nixs3/store/layout"
	"example.com/nixs3/store/verify"
)

func TestMutantsAreRepairedToByteEquality(t *testing.T) {
	for _, name := range []string{"zstd", rich} {
		mirror := namedCache(t, name)
		sound := contentsOf(t, mirror.Bucket())
		for _, m := range mutants() {
			if m.rich && name != rich {
				continue
			}
			t.Run(name+"/"+m.name, func(t *testing.T) {
				t.Parallel()
				c := namedCache(t, name)
				m.mutate(t, c.Bucket())
				keys := corpusKeys(t)
				findings := check(t, c, verify.Options{Depth: verify.Contents, TrustedKeys: keys})
				report, err := verify.Repair(t.Context(), c, slices.Values(findings), verify.RepairOptions{
					From: []store.Source{mirror}, TrustedKeys: keys, Remove: true,
				})
				require.NoError(t, err)
				mended := contentsOf(t, c.Bucket())
				for key := range mended {
					if _, ok := sound[key]; !ok {
						// An archive that nothing refers to any more is for
						// the collector.
						require.Equal(t, "nar/", key[:4], key)
						delete(mended, key)
					}
				}
				for key, want := range sound {
					require.True(t, want == mended[key], "%s is not as it was: %.300q", key, mended[key])
				}
				require.Len(t, mended, len(sound))
				for _, key := range report.Keys {
					require.False(t, strings.HasPrefix(key, "/"))
				}
				left := check(t, c, verify.Options{Depth: verify.Contents, TrustedKeys: keys})
				for _, f := range left {
					require.Equal(t, verify.ArchiveOrphaned, f.Kind, f)
				}
			})
		}
	}
}

// repaired repairs what Check finds, and returns the report.
func repaired(t *testing.T, c *store.Cache, opts verify.RepairOptions) (*verify.Report, error) {
	t.Helper()
	findings := check(t, c, verify.Options{Depth: verify.Contents, TrustedKeys: opts.TrustedKeys})
	return verify.Repair(t.Context(), c, slices.Values(findings), opts)
}

// unshared is a path of the corpus with an archive of its own.
const unshared = "multi-2.1"

func damageArchive(t *testing.T, c *store.Cache, name string) *narinfo.NarInfo {
	t.Helper()
	info := infoOf(t, c.Bucket(), name)
	data := get(t, c.Bucket(), info.URL)
	put(t, c.Bucket(), info.URL, flip(data, len(data)/2))
	return info
}

func TestRepairTakesOnlyEqualContents(t *testing.T) {
	// The mirror has another archive for the path, soundly signed by a key
	// that the cache does not know.
	c, mirror := corpusCache(t, "zstd"), corpusCache(t, "zstd")
	info := damageArchive(t, c, unshared)
	other := infoOf(t, mirror.Bucket(), "danglink")
	forged := other.Clone()
	forged.PathInfo = *info.PathInfo.Clone()
	forged.NarHash, forged.NarSize = other.NarHash, other.NarSize
	text, err := forged.MarshalText()
	require.NoError(t, err)
	put(t, mirror.Bucket(), infoKey(info), text)
	before := contentsOf(t, c.Bucket())

	report, err := repaired(t, c, verify.RepairOptions{From: []store.Source{mirror}})
	require.ErrorContains(t, err, "expected "+info.NarHash.String())
	require.Len(t, report.Failed, 1)
	require.Equal(t, before, contentsOf(t, c.Bucket()))

	// The second source has it.
	report, err = repaired(t, c, verify.RepairOptions{From: []store.Source{mirror, corpusCache(t, "zstd")}})
	require.NoError(t, err)
	require.Equal(t, 1, report.Changed)
	require.Equal(t, contentsOf(t, corpusCache(t, "zstd").Bucket()), contentsOf(t, c.Bucket()))
}

func TestRepairVerifiesWhatASourceSends(t *testing.T) {
	c, mirror := corpusCache(t, "zstd"), corpusCache(t, "zstd")
	damageArchive(t, c, unshared)
	damageArchive(t, mirror, unshared)
	before := contentsOf(t, c.Bucket())
	report, err := repaired(t, c, verify.RepairOptions{From: []store.Source{mirror}})
	require.Error(t, err)
	require.Len(t, report.Failed, 1)
	require.Equal(t, before, contentsOf(t, c.Bucket()))
}

func TestRepairFromAnotherCompressionKeepsSignatures(t *testing.T) {
	c := corpusCache(t, "zstd")
	key := newKey(t, "mine-1")
	info := damageArchive(t, c, unshared)
	_, err := verify.Sign(t.Context(), c, []storepath.Path{info.Path}, verify.SignOptions{Signers: []narinfo.Signer{key}})
	require.NoError(t, err)
	_, err = repaired(t, c, verify.RepairOptions{From: []store.Source{corpusCache(t, "full-xz")}})
	require.NoError(t, err)
	mended, err := c.NarInfo(t.Context(), info.Path)
	require.NoError(t, err)
	require.EqualValues(t, "xz", mended.Compression)
	require.NoError(t, narinfo.TrustedKeys{key.Public()}.Verify(&mended.PathInfo))
	require.NoError(t, corpusKeys(t).Verify(&mended.PathInfo))
	for _, f := range check(t, c, verify.Options{Depth: verify.Contents}) {
		require.Contains(t, []verify.Kind{verify.ArchiveOrphaned, verify.ArchiveName}, f.Kind)
	}
}

func TestRepairOfANarInfoInDoubtNeedsATrustedKey(t *testing.T) {
	c, mirror := corpusCache(t, "zstd"), corpusCache(t, "zstd")
	info := infoOf(t, c.Bucket(), hello)
	put(t, c.Bucket(), infoKey(info), []byte("broken"))
	stranger := narinfo.TrustedKeys{newKey(t, "stranger-1").Public()}
	_, err := repaired(t, c, verify.RepairOptions{From: []store.Source{mirror}, TrustedKeys: stranger})
	require.ErrorIs(t, err, narinfo.ErrUntrusted)
	require.Equal(t, "broken", string(get(t, c.Bucket(), infoKey(info))))
	_, err = repaired(t, c, verify.RepairOptions{From: []store.Source{mirror}, TrustedKeys: corpusKeys(t)})
	require.NoError(t, err)
}

func TestRepairFindsPathsOfOrphans(t *testing.T) {
	c, mirror := corpusCache(t, "zstd"), corpusCache(t, "zstd")
	sound := contentsOf(t, c.Bucket())
	info := infoOf(t, c.Bucket(), "env") // which nothing refers to
	require.NoError(t, c.Bucket().Delete(t.Context(), infoKey(info), listKey(info)))
	_, err := repaired(t, c, verify.RepairOptions{From: []store.Source{mirror}})
	require.NoError(t, err)
	require.NotContains(t, contentsOf(t, c.Bucket()), infoKey(info))
	_, err = repaired(t, c, verify.RepairOptions{From: []store.Source{mirror}, Search: true})
	require.NoError(t, err)
	delete(sound, listKey(info)) // that it had a listing is not known any more
	require.Equal(t, sound, contentsOf(t, c.Bucket()))
}

func TestRepairDryRunChangesNothing(t *testing.T) {
	c := corpusCache(t, "zstd")
	damageArchive(t, c, unshared)
	info := infoOf(t, c.Bucket(), referrer)
	put(t, c.Bucket(), listKey(info), []byte("{}"))
	put(t, c.Bucket(), layout.CacheInfoKey, []byte("broken"))
	before := contentsOf(t, c.Bucket())
	report, err := repaired(t, c, verify.RepairOptions{From: []store.Source{corpusCache(t, "zstd")}, DryRun: true, Remove: true})
	require.NoError(t, err)
	require.Equal(t, 3, report.Changed)
	require.Empty(t, report.Keys)
	require.Equal(t, before, contentsOf(t, c.Bucket()))
}

func TestRepairRemovesOnlyWhereAsked(t *testing.T) {
	c := corpusCache(t, "zstd")
	orphan := layout.ListingKey("00000000000000000000000000000000")
	put(t, c.Bucket(), orphan, []byte("{}"))
	report, err := repaired(t, c, verify.RepairOptions{})
	require.NoError(t, err)
	require.Len(t, report.Skipped, 1)
	require.Contains(t, contentsOf(t, c.Bucket()), orphan)
	_, err = repaired(t, c, verify.RepairOptions{Remove: true})
	require.NoError(t, err)
	require.NotContains(t, contentsOf(t, c.Bucket()), orphan)
}

func TestRepairHidesWhatCannotBeHad(t *testing.T) {
	for name, break_ := range map[string]func(t *testing.T, c *store.Cache){
		"archive": func(t *testing.T, c *store.Cache) { damageArchive(t, c, hello) },
		"narinfo": func(t *testing.T, c *store.Cache) {
			put(t, c.Bucket(), narInfoKey(hello)(t, c.Bucket()), []byte("broken"))
		},
		"missing": func(t *testing.T, c *store.Cache) {
			require.NoError(t, c.Bucket().Delete(t.Context(), narInfoKey(hello)(t, c.Bucket())))
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := corpusCache(t, "none") // whose decoder no other bubble shares
			user := infoOf(t, c.Bucket(), referrer)
			break_(t, c)
			synctest.Test(t, func(t *testing.T) {
				report, err := repaired(t, c, verify.RepairOptions{Hide: true, Remove: true})
				require.Error(t, err)
				require.Contains(t, report.Hidden, user.Path)
				require.Contains(t, report.Keys, infoKey(user))
				for _, f := range check(t, c, verify.Options{Depth: verify.Contents}) {
					// A narinfo that cannot be read cannot be brought back either.
					require.Contains(t, []verify.Kind{verify.ArchiveOrphaned, verify.ArchiveName, verify.ListingOrphaned, verify.NarInfoInvalid}, f.Kind, f)
				}
				_, err = gc.Undo(t.Context(), c, report.HiddenBy)
				require.NoError(t, err)
				if name == "archive" {
					has, err := c.Has(t.Context(), user.Path)
					require.NoError(t, err)
					require.True(t, has)
				}
			})
		})
	}
}

// TestNothingAsksForAListingThatCannotBe has a path with names that are not
// UTF-8, which JSON cannot have.
func TestNothingAsksForAListingThatCannotBe(t *testing.T) {
	c := corpusCache(t, "full-xz")
	require.NoError(t, c.Bucket().Delete(t.Context(), listKey(infoOf(t, c.Bucket(), "unicode"))))
	var journal bytes.Buffer
	require.Empty(t, check(t, c, verify.Options{Depth: verify.Contents, Journal: &journal}))
	require.Empty(t, check(t, c, verify.Options{Depth: verify.Contents, Resume: &journal}))

	findings := check(t, c, verify.Options{})
	require.Equal(t, map[verify.Kind]int{verify.ListingMissing: 1}, kindsOf(findings), "what the names are shows at the depth Contents only")
	report, err := verify.Repair(t.Context(), c, slices.Values(findings), verify.RepairOptions{})
	require.NoError(t, err)
	require.Len(t, report.Skipped, 1)
	require.ErrorIs(t, report.Skipped[0], nar.ErrNotUTF8)
}
