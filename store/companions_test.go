package store_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/storetest"
	"example.com/nixs3/store/storetest/fakes3"
)

func generateKey(t testing.TB, name string) narinfo.SecretKey {
	t.Helper()
	key, err := narinfo.GenerateKey(name, nil)
	require.NoError(t, err)
	return key
}

// realisations returns what a cache has of them.
func realisations(t *testing.T, c *store.Cache) []*narinfo.Realisation {
	t.Helper()
	var all []*narinfo.Realisation
	for r, err := range c.Realisations(t.Context()) {
		require.NoError(t, err)
		all = append(all, r)
	}
	return all
}

// TestCopyTakesRealisationsAlong copies a cache that Nix wrote, with
// content-addressed derivations.
func TestCopyTakesRealisationsAlong(t *testing.T) {
	src := open(t, corpusURL(t, "full-xz"))
	want := realisations(t, src)
	require.NotEmpty(t, want)
	user := slices.IndexFunc(want, func(r *narinfo.Realisation) bool { return r.OutPath.Name() == "ca-user" })
	root := want[user].OutPath

	dst := open(t, "mem://")
	report, err := store.Copy(t.Context(), dst, src, []storepath.Path{root}, store.CopyOptions{})
	require.NoError(t, err)
	got := realisations(t, dst)
	assert.Len(t, got, report.Realisations)
	assert.NotEmpty(t, got)
	for _, r := range got {
		has, err := dst.Has(t.Context(), r.OutPath)
		require.NoError(t, err)
		assert.True(t, has, "no realisation of a path that is not there")
	}
	again, err := store.Copy(t.Context(), dst, src, []storepath.Path{root}, store.CopyOptions{})
	require.NoError(t, err)
	assert.Zero(t, again.Realisations)

	all, err := store.Copy(t.Context(), dst, src, nil, store.CopyOptions{All: true, Logs: true})
	require.NoError(t, err)
	assert.Len(t, realisations(t, dst), len(want))
	assert.Equal(t, 2, all.Logs)

	t.Run("only those of a trusted key", func(t *testing.T) {
		r := *want[user]
		r.Signatures = nil
		unsigned := open(t, "mem://")
		_, err := store.Copy(t.Context(), unsigned, src, []storepath.Path{root}, store.CopyOptions{})
		require.NoError(t, err)
		require.NoError(t, unsigned.PutRealisation(t.Context(), &r))
		into := open(t, "mem://")
		report, err := store.Copy(t.Context(), into, unsigned, []storepath.Path{root},
			store.CopyOptions{TrustedKeys: narinfo.TrustedKeys{generateKey(t, "other-1").Public()}})
		require.NoError(t, err)
		assert.Positive(t, report.Untrusted)
		assert.Empty(t, realisations(t, into))
	})
	t.Run("a source without listing", func(t *testing.T) {
		report, err := store.Copy(t.Context(), open(t, "mem://"), unlisted{src}, []storepath.Path{root}, store.CopyOptions{})
		require.NoError(t, err)
		assert.True(t, report.Unlisted)
	})
	t.Run("a failure", func(t *testing.T) {
		gone := errors.New("gone")
		_, err := store.Copy(t.Context(), open(t, "mem://"), unlisted{brokenRealisations{src, gone}}, []storepath.Path{root}, store.CopyOptions{})
		require.NoError(t, err)
		_, err = store.Copy(t.Context(), open(t, "mem://"), brokenRealisations{src, gone}, []storepath.Path{root}, store.CopyOptions{})
		require.ErrorIs(t, err, gone)
		report, err := store.Copy(t.Context(), open(t, "mem://"), brokenRealisations{src, gone}, []storepath.Path{root}, store.CopyOptions{KeepGoing: true})
		require.ErrorIs(t, err, gone)
		assert.Len(t, report.Failed, 1)
		assert.Positive(t, report.Copied)
	})
}

// unlisted is a source that cannot list its realisations, as a web server.
type unlisted struct{ store.Source }

func (unlisted) Realisations(context.Context) iter.Seq2[*narinfo.Realisation, error] {
	return func(yield func(*narinfo.Realisation, error) bool) { yield(nil, errors.ErrUnsupported) }
}

type brokenRealisations struct {
	store.Source
	err error
}

func (b brokenRealisations) Realisations(context.Context) iter.Seq2[*narinfo.Realisation, error] {
	return func(yield func(*narinfo.Realisation, error) bool) { yield(nil, b.err) }
}

func TestCopySignsWhatIsThere(t *testing.T) {
	src := open(t, corpusURL(t, "zstd"))
	dst := open(t, "mem://")
	_, err := store.Copy(t.Context(), dst, src, nil, store.CopyOptions{All: true})
	require.NoError(t, err)
	key := generateKey(t, "later-1")
	report, err := store.Copy(t.Context(), dst, src, nil, store.CopyOptions{All: true, Signers: []narinfo.Signer{key}})
	require.NoError(t, err)
	assert.Zero(t, report.Copied)
	assert.Equal(t, report.Present, report.Signed)
	for info, err := range dst.NarInfos(t.Context()) {
		require.NoError(t, err)
		require.NoError(t, narinfo.TrustedKeys{key.Public()}.Verify(&info.PathInfo))
		assert.Greater(t, len(info.Signatures), 1, "that of the source is kept")
	}
}

// TestCopySignsOnlyWhatItSaw has other contents at the destination under the
// path, which the signature must not vouch for.
func TestCopySignsOnlyWhatItSaw(t *testing.T) {
	a, b := newObject(t, 1, []byte("contents")), newObject(t, 1, []byte("other contents"))
	src, dst := open(t, "mem://"), open(t, "mem://")
	add(t, src, a, store.AddOptions{})
	b.info.Path = a.info.Path
	add(t, dst, b, store.AddOptions{})
	_, err := store.Copy(t.Context(), dst, src, []storepath.Path{a.info.Path}, store.CopyOptions{Signers: []narinfo.Signer{generateKey(t, "k-1")}})
	require.ErrorIs(t, err, store.ErrMismatch)
	info, err := dst.NarInfo(t.Context(), a.info.Path)
	require.NoError(t, err)
	assert.Empty(t, info.Signatures)
}

func TestCopyLogs(t *testing.T) {
	src, dst := open(t, "mem://"), open(t, "mem://")
	o := newObject(t, 1, []byte("contents"))
	drv, err := storepath.ParseBase("p4pclmv1gyja5kzc26npqpia1qqxrf0l-a.drv")
	require.NoError(t, err)
	o.info.Deriver = drv
	add(t, src, o, store.AddOptions{})
	require.NoError(t, src.PutLog(t.Context(), drv, strings.NewReader("log")))
	copyOnce := func(opts store.CopyOptions) store.CopyReport {
		report, err := store.Copy(t.Context(), dst, src, []storepath.Path{o.info.Path}, opts)
		require.NoError(t, err)
		return report
	}
	assert.Zero(t, copyOnce(store.CopyOptions{}).Logs, "only where asked")
	assert.Equal(t, 1, copyOnce(store.CopyOptions{Logs: true}).Logs)
	assert.Zero(t, copyOnce(store.CopyOptions{Logs: true}).Logs)
	r, err := dst.Log(t.Context(), drv)
	require.NoError(t, err)
	text, err := io.ReadAll(r)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	assert.Equal(t, "log", string(text))
}

// TestProgressSaysWhatMoves counts what is sent, which compression makes less
// than what is read, and moves within an archive.
func TestProgressSaysWhatMoves(t *testing.T) {
	server := storetest.NewS3(t, fakes3.Options{Buckets: []string{"cache"}})
	dst := s3Cache(t, server, "&compression=zstd")
	o := newObject(t, 1, make([]byte, 20<<20)) // compresses to nothing
	src := open(t, "mem://?compression=none")
	add(t, src, o, store.AddOptions{})
	var last store.Progress
	report, err := store.Copy(t.Context(), dst, src, []storepath.Path{o.info.Path}, store.CopyOptions{Progress: func(p store.Progress) {
		assert.LessOrEqual(t, p.NARBytes, p.NARBytesTotal)
		last = p
	}})
	require.NoError(t, err)
	assert.EqualValues(t, o.info.NarSize, report.NARBytes)
	assert.EqualValues(t, o.info.NarSize, report.FileBytes)
	assert.Less(t, report.BytesWritten, int64(100<<10))
	assert.Positive(t, report.BytesWritten)
	assert.Equal(t, report.NARBytes, last.NARBytes)
	assert.Equal(t, report.BytesWritten, last.BytesWritten)
	assert.Empty(t, last.UnderWay)
}
