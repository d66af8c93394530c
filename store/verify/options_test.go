package verify_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/layout"
	"example.com/nixs3/store/verify"
)

func TestRootsAreClosures(t *testing.T) {
	c, _ := broken(t)
	root := infoOf(t, c.Bucket(), referrer)
	var plan verify.Plan
	got := pathsOf(check(t, c, verify.Options{Depth: verify.Contents, Roots: []storepath.Path{root.Path}, Plan: func(p verify.Plan) error {
		plan = p
		return nil
	}}))
	require.True(t, got[root.Path])
	for _, ref := range root.References {
		require.True(t, got[ref], ref)
	}
	require.Equal(t, plan.Paths, len(got))
	require.Less(t, len(got), 10)

	gone := path("00000000000000000000000000000000-gone")
	require.Equal(t, map[verify.Kind]int{verify.NarInfoMissing: 1},
		kindsOf(check(t, c, verify.Options{Depth: verify.Metadata, Roots: []storepath.Path{gone}})))

	require.NoError(t, c.Bucket().Delete(t.Context(), infoKey(infoOf(t, c.Bucket(), hello))))
	require.Equal(t, 1, kindsOf(check(t, c, verify.Options{Depth: verify.Metadata, Roots: []storepath.Path{root.Path}}))[verify.ReferenceMissing])
}

// counting counts the requests to a bucket.
type counting struct {
	blob.Bucket
	gets, heads int
	bytes       int64
}

func (c *counting) Get(ctx context.Context, key string, opts blob.GetOptions) (*blob.Object, error) {
	obj, err := c.Bucket.Get(ctx, key, opts)
	if err == nil {
		c.gets++
		c.bytes += obj.Length
	}
	return obj, err
}

func (c *counting) Head(ctx context.Context, key string) (blob.Attrs, error) {
	c.heads++
	return c.Bucket.Head(ctx, key)
}

// one is a budget of one request at a time, so that counting needs no lock.
func one(s *store.Settings) { s.Budget = store.Budget{Requests: 1, Transfers: 1} }

func TestCostsAreToldBefore(t *testing.T) {
	for _, depth := range depths {
		t.Run(depth.String(), func(t *testing.T) {
			b := &counting{Bucket: corpusCache(t, "full-xz").Bucket()}
			var plan verify.Plan
			require.Empty(t, check(t, newCache(t, b, one), verify.Options{Depth: depth, Plan: func(p verify.Plan) error {
				require.Zero(t, b.gets+b.heads)
				plan = p
				return nil
			}}))
			require.Equal(t, 47, plan.Paths)
			if depth == verify.Metadata { // less, where the server keeps no checksums
				require.EqualValues(t, plan.Requests-47+16, b.gets+b.heads)
			} else {
				require.EqualValues(t, plan.Requests, b.gets+b.heads)
			}
			require.InEpsilon(t, b.bytes, plan.Bytes, 0.2) // some archives are of several paths
		})
	}
	stop := errors.New("too much")
	for _, err := range verify.Check(t.Context(), corpusCache(t, "none"), verify.Options{Plan: func(verify.Plan) error { return stop }}) {
		require.ErrorIs(t, err, stop)
	}
}

func TestJournalResumes(t *testing.T) {
	c, n := broken(t)
	for _, depth := range depths[1:] {
		t.Run(depth.String(), func(t *testing.T) {
			b := &counting{Bucket: c.Bucket()}
			cache := newCache(t, b, one)
			var journal bytes.Buffer
			// The run is cut off after a few findings, in the middle of a line.
			next, stop := iter.Pull2(verify.Check(t.Context(), cache, verify.Options{Depth: depth, Journal: &journal}))
			for range 5 {
				next()
			}
			stop()
			half := bytes.NewReader(journal.Bytes()[:max(0, journal.Len()-3)])
			journal.Truncate(max(0, journal.Len()-3))
			journal.WriteString("\n")

			first := check(t, cache, verify.Options{Depth: depth, Resume: half, Journal: &journal})
			b.gets = 0
			again := check(t, cache, verify.Options{Depth: depth, Resume: bytes.NewReader(journal.Bytes())})
			require.ElementsMatch(t, first, again)
			require.LessOrEqual(t, b.gets, 1, "only nix-cache-info is read again")
			if depth >= verify.Files {
				require.GreaterOrEqual(t, len(pathsOf(again)), n)
			}
			for line := range bytes.Lines(journal.Bytes()) {
				if len(bytes.TrimSpace(line)) > 0 && line[0] == '{' && bytes.HasSuffix(line, []byte("}\n")) {
					require.True(t, json.Valid(line))
				}
			}

			// What has changed since is checked again, and what needs another depth.
			info := infoOf(t, c.Bucket(), hello)
			put(t, c.Bucket(), info.URL, get(t, c.Bucket(), info.URL))
			b.gets = 0
			check(t, cache, verify.Options{Depth: depth, Resume: bytes.NewReader(journal.Bytes())})
			require.Positive(t, b.gets)
			if depth < verify.Contents {
				b.gets = 0
				check(t, cache, verify.Options{Depth: depth + 1, Resume: bytes.NewReader(journal.Bytes())})
				require.Greater(t, b.gets, n)
			}
		})
	}
}

func TestListingNeedsNoNarInfoThatTheJournalKnows(t *testing.T) {
	b := &counting{Bucket: corpusCache(t, "zstd").Bucket()}
	var journal bytes.Buffer
	require.Empty(t, check(t, newCache(t, b, one), verify.Options{Journal: &journal}))
	b.gets = 0
	put(t, b, "nar/orphan.nar", []byte("x"))
	require.Equal(t, map[verify.Kind]int{verify.ArchiveOrphaned: 1}, kindsOf(check(t, newCache(t, b, one), verify.Options{Resume: &journal})))
	require.Zero(t, b.gets)
}

// denied is a bucket that refuses to answer for some keys.
type denied struct {
	blob.Bucket
	refuses func(key string) bool
}

func (d *denied) Get(ctx context.Context, key string, opts blob.GetOptions) (*blob.Object, error) {
	if d.refuses(key) {
		return nil, &blob.Error{Op: "Get", Key: key, Status: 403, Err: blob.ErrAccessDenied}
	}
	return d.Bucket.Get(ctx, key, opts)
}

func TestWhatCannotBeReadIsNotAFault(t *testing.T) {
	for _, kind := range []layout.Kind{layout.CacheInfo, layout.NarInfo, layout.Archive, layout.Listing, layout.DebugInfo, layout.Log, layout.Realisation} {
		t.Run(kind.String(), func(t *testing.T) {
			inner := corpusCache(t, "full-xz").Bucket()
			n := 0
			for key := range contentsOf(t, inner) {
				if layout.KindOf(key) == kind {
					n++
				}
			}
			b := &denied{inner, func(key string) bool { return layout.KindOf(key) == kind }}
			unchecked := 0
			for f, err := range verify.Check(t.Context(), newCache(t, b), verify.Options{Depth: verify.Contents}) {
				var one *verify.UncheckedError
				if err == nil {
					// Debug files of archives that were not read are not known,
					// and archives of narinfos that were not are not used.
					require.Contains(t, []verify.Kind{verify.DebugInfoInvalid, verify.ArchiveOrphaned}, f.Kind)
					continue
				}
				require.ErrorAs(t, err, &one)
				require.ErrorIs(t, err, blob.ErrAccessDenied)
				require.True(t, strings.Contains(err.Error(), "could not be checked"))
				unchecked++
			}
			require.Positive(t, n)
			require.GreaterOrEqual(t, unchecked, n)
		})
	}
}

func TestCancelling(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var last error
	for _, err := range verify.Check(ctx, corpusCache(t, "none"), verify.Options{Depth: verify.Contents}) {
		last = err
	}
	require.ErrorIs(t, last, context.Canceled)
}

// After the end, only the signatures of paths under way are looked at.
func TestCancellingEndsTheCheckOfSignatures(t *testing.T) {
	const paths, signatures = 1000, 256
	key := newKey(t, "trusted-1").Public()
	var bad strings.Builder
	for i := range signatures {
		fmt.Fprintf(&bad, "Sig: %v\n", narinfo.Signature{KeyName: key.Name(), Data: [64]byte{byte(i)}})
	}
	b := memblob.New()
	for _, p := range fill(t, b, paths) {
		name := layout.NarInfoKey(p.HashPart())
		put(t, b, name, append(get(t, b, name), bad.String()...))
	}
	cache := newCache(t, b, func(s *store.Settings) { s.Budget.Requests = 4 })
	for _, depth := range []verify.Depth{verify.Metadata, verify.Files, verify.Contents} {
		ctx, cancel := context.WithCancel(t.Context())
		begun := 0
		var last error
		opts := verify.Options{Depth: depth, TrustedKeys: narinfo.TrustedKeys{key}, Progress: func(p verify.Progress) {
			if begun = p.Checked; p.Checked == 1 {
				cancel()
			}
		}}
		for _, err := range verify.Check(ctx, cache, opts) {
			last = err
		}
		require.ErrorIs(t, last, context.Canceled)
		require.LessOrEqual(t, begun, 1+2*4, "those under way")
	}
}

// A journal of any length is read no further after the end.
func TestCancellingEndsTheReadingOfTheJournal(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	lines := 0
	journal := readerFunc(func(p []byte) (int, error) {
		if lines++; lines == 3 {
			cancel()
		}
		return copy(p, "{}\n"), nil
	})
	var last error
	for _, err := range verify.Check(ctx, corpusCache(t, "none"), verify.Options{Resume: journal}) {
		last = err
	}
	require.ErrorIs(t, last, context.Canceled)
	require.LessOrEqual(t, lines, 4)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestTrustedKeysOfTheCacheDoNotMatter(t *testing.T) {
	key, err := narinfo.GenerateKey("other-1", nil)
	require.NoError(t, err)
	c := newCache(t, corpusCache(t, "zstd").Bucket(), func(s *store.Settings) { s.TrustedKeys = narinfo.TrustedKeys{key.Public()} })
	require.Empty(t, check(t, c, verify.Options{Depth: verify.Contents}))
}

func TestStoredChecksumsAreCompared(t *testing.T) {
	inner := corpusCache(t, "zstd").Bucket()
	heads := 0
	b := blob.Intercept(inner, func(ctx context.Context, call *blob.Call, do func(context.Context) error) error {
		err := do(ctx)
		if err == nil && call.Op == "Head" {
			heads++
			sum := sha256.Sum256(get(t, inner, call.Key))
			call.Attrs.SHA256 = &sum
		}
		return err
	})
	require.Empty(t, check(t, newCache(t, b, one), verify.Options{Depth: verify.Metadata}))
	require.Equal(t, 28, heads)
	info := infoOf(t, inner, hello)
	put(t, inner, info.URL, flip(get(t, inner, info.URL), 40))
	found := check(t, newCache(t, b, one), verify.Options{Depth: verify.Metadata})
	require.Positive(t, kindsOf(found)[verify.ArchiveChecksum])
	require.Empty(t, check(t, newCache(t, inner), verify.Options{Depth: verify.Metadata}), "without checksums nothing shows")
}

func TestJournalKeepsReferences(t *testing.T) {
	c := corpusCache(t, "zstd")
	var journal bytes.Buffer
	require.Empty(t, check(t, c, verify.Options{Depth: verify.Metadata, Journal: &journal}))
	text := journal.Bytes()
	require.NoError(t, c.Bucket().Delete(t.Context(), infoKey(infoOf(t, c.Bucket(), hello))))
	for range 2 {
		found := check(t, c, verify.Options{Depth: verify.Metadata, Resume: bytes.NewReader(text), Journal: &journal})
		require.Positive(t, kindsOf(found)[verify.ReferenceMissing])
		text = journal.Bytes()
	}
}

func FuzzJournal(f *testing.F) {
	f.Add("{\"key\":\"x\",\"state\":\"1\",\"depth\":\"files\"}\n")
	f.Add("\n{\n{}{}\n")
	c := corpusCache(f, "none")
	var journal bytes.Buffer
	for _, err := range verify.Check(f.Context(), c, verify.Options{Journal: &journal}) {
		require.NoError(f, err)
	}
	f.Add(journal.String())
	f.Fuzz(func(t *testing.T, text string) {
		for _, err := range verify.Check(t.Context(), c, verify.Options{Resume: strings.NewReader(text)}) {
			if err != nil && !strings.Contains(err.Error(), "reading the journal") {
				t.Fatal(err)
			}
		}
	})
}

func FuzzShard(f *testing.F) {
	f.Add("3/32")
	f.Add("-1/+2")
	f.Fuzz(func(t *testing.T, text string) {
		shard, err := verify.ParseShard(text)
		if err != nil {
			return
		}
		if again, err := verify.ParseShard(shard.String()); err != nil || again != shard || shard.Index < 1 || shard.Index > shard.Count {
			t.Fatal(shard, again, err)
		}
	})
}
