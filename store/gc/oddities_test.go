package gc_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/gc"
	"example.com/nixs3/store/storetest"
	"example.com/nixs3/store/storetest/fakes3"
)

// onS3 is a cache in a fake S3 with old garbage and a root.
func onS3(t *testing.T, opts fakes3.Options) (*fakes3.Server, *store.Cache) {
	t.Helper()
	opts.Buckets = []string{"cache"}
	s3 := storetest.NewS3(t, opts)
	t.Setenv("AWS_ACCESS_KEY_ID", fakes3.DefaultCredentials.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", fakes3.DefaultCredentials.SecretKey)
	cache, err := store.Open(t.Context(), "s3://cache?endpoint="+s3.Endpoint()+"&compression=none")
	require.NoError(t, err)
	t.Cleanup(func() { cache.Close() })
	add(t, cache, "libc", "app: libc", "other: libc")
	// Under collection for long, so that no run waits for writers.
	state := `{"phase":"idle","ttl":1800,"since":"2000-01-01T00:00:00Z","nonce":"x"}`
	_, err = cache.Bucket().Put(t.Context(), "nixs3/collect/state", strings.NewReader(state), blob.PutOptions{})
	require.NoError(t, err)
	require.NoError(t, gc.SetRoot(t.Context(), cache, gc.Root{Name: "app", Paths: paths("app")}))
	return s3, cache
}

// collectThereAndBack hides what no root holds, brings it back, and removes it
// for good.
func collectThereAndBack(t *testing.T, cache *store.Cache) {
	t.Helper()
	report, err := gc.Collect(t.Context(), cache, gc.Options{Recent: none})
	require.NoError(t, err)
	assert.Equal(t, "app libc", names(t, cache.Bucket()))
	_, err = gc.Undo(t.Context(), cache, report.Run)
	require.NoError(t, err)
	assert.Equal(t, "app libc other", names(t, cache.Bucket()))
	_, err = gc.Collect(t.Context(), cache, gc.Options{Recent: none, Grace: none})
	require.NoError(t, err)
	assert.Equal(t, 2, whole(t, cache.Bucket()).Archives)
}

func TestCollectOnS3(t *testing.T) {
	_, cache := onS3(t, fakes3.Options{PageSize: 2})
	collectThereAndBack(t, cache)
}

// A server that ignores conditions, or does not know them, has no lock.
func TestServerWithoutConditions(t *testing.T) {
	for _, conditions := range []fakes3.Conditions{fakes3.IgnoreConditions, fakes3.RefuseConditions} {
		_, cache := onS3(t, fakes3.Options{Conditions: conditions})
		_, err := gc.Collect(t.Context(), cache, gc.Options{Recent: none, Grace: none})
		assert.ErrorIs(t, err, gc.ErrConditions)
		assert.ErrorContains(t, err, "--alone")
		assert.Equal(t, "app libc other", names(t, cache.Bucket()))
		assert.Empty(t, keys(t, cache.Bucket(), "nixs3/collect/canary"))
		if conditions == fakes3.IgnoreConditions {
			_, err = gc.Collect(t.Context(), cache, gc.Options{Recent: none, Alone: true})
			require.NoError(t, err)
			assert.Equal(t, "app libc", names(t, cache.Bucket()))
		}
	}
}

// Nothing rests on conditions of deletions and copies.
func TestServersThatIgnoreSomeConditions(t *testing.T) {
	for name, opts := range map[string]fakes3.Options{
		"minio": fakes3.MinIO(), "versitygw": fakes3.VersityGW(), "radosgw": fakes3.RadosGW(),
	} {
		t.Run(name, func(t *testing.T) {
			_, cache := onS3(t, opts)
			_, err := gc.Collect(t.Context(), cache, gc.Options{Recent: none, Grace: none})
			require.NoError(t, err)
			assert.Equal(t, "app libc", names(t, cache.Bucket()))
			whole(t, cache.Bucket())
		})
	}
}

// Where versions are kept, deletions name them: nothing is left, not even of what
// was overwritten, and undo still works.
func TestVersionedBucket(t *testing.T) {
	s3, cache := onS3(t, fakes3.Options{Versioned: true})
	key := path("other").HashPart() + ".narinfo"
	text, _, err := blob.ReadAll(t.Context(), cache.Bucket(), key, 1<<20)
	require.NoError(t, err)
	_, err = cache.Bucket().Put(t.Context(), key, bytes.NewReader(text), blob.PutOptions{}) // a second version
	require.NoError(t, err)
	collectThereAndBack(t, cache)
	versioned := 0
	for _, r := range s3.Requests() {
		if r.Query.Has("versions") {
			versioned++
		}
	}
	assert.Positive(t, versioned)
	b, ok := blob.As[interface {
		Versioned(context.Context, string) (bool, error)
	}](cache.Bucket())
	require.True(t, ok)
	left, err := b.Versioned(t.Context(), key)
	require.NoError(t, err)
	assert.False(t, left, "no version and no marker is left")
}

// without is a bucket on which some operations fail.
func without(b blob.Bucket, fails func(call *blob.Call) error) blob.Bucket {
	return blob.Intercept(b, func(ctx context.Context, call *blob.Call, do func(context.Context) error) error {
		if err := fails(call); err != nil {
			return &blob.Error{Op: call.Op, Key: call.Key, Err: err}
		}
		return do(ctx)
	})
}

func TestBucketWithoutDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache, b := newCache(t)
		add(t, cache, "a", "b")
		denied := cacheIn(t, without(b, func(call *blob.Call) error {
			if call.Op == "Delete" {
				return blob.ErrAccessDenied
			}
			return nil
		}))
		time.Sleep(2 * day)
		_, err := gc.Collect(t.Context(), denied, gc.Options{Roots: paths("a")})
		assert.ErrorIs(t, err, gc.ErrNoDelete)
		assert.ErrorContains(t, err, "s3:DeleteObject")
		assert.Equal(t, "a b", names(t, b))
		assert.NotContains(t, keys(t, b, ""), "nixs3/collect/state")
	})
}

// The clock of this machine has no say: a bucket's objects are as old as its own
// clock says.
func TestClockOfTheServer(t *testing.T) {
	for _, ahead := range []time.Duration{-5 * time.Hour, 5 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			_, b := newCache(t)
			shifted := blob.Intercept(b, func(ctx context.Context, call *blob.Call, do func(context.Context) error) error {
				each := do(ctx)
				if !call.Attrs.ModTime.IsZero() {
					call.Attrs.ModTime = call.Attrs.ModTime.Add(ahead)
				}
				if call.Object != nil {
					call.Object.ModTime = call.Object.ModTime.Add(ahead)
				}
				return each
			})
			cache := cacheIn(t, shiftedListing{shifted, ahead})
			add(t, cache, "a", "b")
			time.Sleep(23 * time.Hour)
			_, err := gc.Collect(t.Context(), cache, gc.Options{Roots: paths("a")})
			require.NoError(t, err)
			assert.Equal(t, "a b", names(t, b), "b is recent by the server's clock")
			time.Sleep(2 * time.Hour)
			_, err = gc.Collect(t.Context(), cache, gc.Options{Roots: paths("a")})
			require.NoError(t, err)
			assert.Equal(t, "a", names(t, b))
		})
	}
}

func TestLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache, b := newCache(t)
		add(t, cache, "a", "b")
		held := func(age time.Duration) {
			_, err := b.Put(t.Context(), "nixs3/collect/state", strings.NewReader(
				`{"phase":"sweeping","run":"R","holder":"somebody","process":"another machine/1/2","ttl":1800}`), blob.PutOptions{})
			require.NoError(t, err)
			time.Sleep(age)
		}
		time.Sleep(2 * day)
		held(29 * time.Minute)
		_, err := gc.Collect(t.Context(), cache, gc.Options{Roots: paths("a")})
		assert.ErrorIs(t, err, gc.ErrLocked)
		assert.ErrorContains(t, err, "sweeping by run R of somebody")
		var locked *gc.LockedError
		require.True(t, errors.As(err, &locked))
		assert.Equal(t, time.Now().Add(time.Minute).Unix(), locked.Until.Unix())
		assert.Equal(t, "a b", names(t, b))
		time.Sleep(2 * time.Minute)
		_, err = gc.Collect(t.Context(), cache, gc.Options{Roots: paths("a")})
		require.NoError(t, err, "the lock has expired")
		assert.Equal(t, "a", names(t, b))
	})
}

// A lock that somebody takes away ends the run before it deletes anything.
func TestLockIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, b := newCache(t)
		add(t, cacheIn(t, b), "a", "b")
		time.Sleep(2 * day)
		stolen := false
		cache := cacheIn(t, without(b, func(call *blob.Call) error {
			if call.Op == "Put" && strings.HasPrefix(call.Key, "nixs3/collect/runs/") && !stolen {
				stolen = true
				_, err := b.Put(t.Context(), "nixs3/collect/state", strings.NewReader(`{"phase":"marking","run":"R","ttl":1800,"nonce":"theirs"}`), blob.PutOptions{})
				return err
			}
			return nil
		}))
		_, err := gc.Collect(t.Context(), cache, gc.Options{Roots: paths("a")})
		assert.ErrorContains(t, err, "lost the collector's lock")
		assert.Equal(t, "a b", names(t, b))
	})
}

func TestBrokenNarInfo(t *testing.T) {
	for _, text := range []string{"", "garbage", "StorePath: /nix/store/" + path("b").String() + "\nURL: nar/x\n",
		"\x28\xb5\x2f\xfd broken zstd", strings.Repeat("x", 5<<20)} {
		synctest.Test(t, func(t *testing.T) {
			cache, b := newCache(t)
			add(t, cache, "a", "b", "c")
			key := path("broken").HashPart() + ".narinfo"
			_, err := b.Put(t.Context(), key, strings.NewReader(text), blob.PutOptions{})
			require.NoError(t, err)
			time.Sleep(2 * day)
			_, err = gc.Collect(t.Context(), cache, gc.Options{Roots: paths("a")})
			assert.ErrorIs(t, err, gc.ErrBroken)
			assert.ErrorContains(t, err, key)
			report, err := gc.Collect(t.Context(), cache, gc.Options{Roots: paths("a"), KeepBroken: true})
			require.NoError(t, err)
			assert.Equal(t, []string{key}, report.Broken)
			left := keys(t, b, "")
			assert.Contains(t, left, key)
			assert.Equal(t, strings.Contains(text, path("b").String()), contains(left, path("b").HashPart()+".narinfo"))
			assert.NotContains(t, left, path("c").HashPart()+".narinfo")
		})
	}
}

func contains(keys []string, key string) bool {
	return strings.Contains("\n"+strings.Join(keys, "\n")+"\n", "\n"+key+"\n")
}

// With a manifest, narinfos go and archives stay, to be destroyed by others.
func TestManifest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache, b := newCache(t)
		add(t, cache, "a", "b")
		info, err := cache.NarInfo(t.Context(), path("b"))
		require.NoError(t, err)
		var manifest []string
		opts := gc.Options{Recent: none, Grace: none, Roots: paths("a"), Manifest: func(key string) error {
			manifest = append(manifest, key)
			return nil
		}}
		for range 2 {
			_, err = gc.Collect(t.Context(), cache, opts)
			require.NoError(t, err)
		}
		assert.Equal(t, []string{info.URL, info.URL}, manifest, "each run names what is still there")
		assert.Equal(t, "a", names(t, b))
		assert.Contains(t, keys(t, b, "nar/"), info.URL)
	})
}

func TestRootsThatAreNotThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache, b := newCache(t)
		add(t, cache, "a", "b")
		time.Sleep(2 * day)
		_, err := gc.Collect(t.Context(), cache, gc.Options{Roots: paths("x", "y")})
		assert.ErrorIs(t, err, gc.ErrNoRoot)
		assert.Equal(t, "a b", names(t, b))
		report, err := gc.Collect(t.Context(), cache, gc.Options{Roots: paths("x", "a")})
		require.NoError(t, err)
		assert.Equal(t, []gc.MissingRoot{{Path: path("x")}}, report.MissingRoots)
		assert.Equal(t, "a", names(t, b))
	})
}

// What belongs to paths that are gone goes too, in its time.
func TestOtherObjects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, b := newCache(t)
		cache, err := store.New(b, store.Settings{Compression: "none", WriteListing: true})
		require.NoError(t, err)
		add(t, cache, "kept", "gone")
		put := func(key, text string) {
			_, err := b.Put(t.Context(), key, strings.NewReader(text), blob.PutOptions{})
			require.NoError(t, err)
		}
		url := func(name string) string {
			info, err := cache.NarInfo(t.Context(), path(name))
			require.NoError(t, err)
			return info.URL
		}
		id := strings.Repeat("0", 63)
		realisation := func(name string) string {
			return `{"id":"sha256:` + id + name[:1] + `!out","outPath":"` + path(name).String() + `","signatures":[],"dependentRealisations":{}}`
		}
		put("debuginfo/aa"+strings.Repeat("0", 38)+".debug", `{"archive":"../`+url("kept")+`","member":"x"}`)
		put("debuginfo/bb"+strings.Repeat("0", 38)+".debug", `{"archive":"../`+url("gone")+`","member":"x"}`)
		put("debuginfo/cc"+strings.Repeat("0", 38)+".debug", `broken`)
		put("log/"+path("kept").String(), "x")
		put("log/"+path("nobody.drv").String(), "x")
		put("realisations/sha256:"+id+"d!out.doi", strings.Replace(realisation("gone"), id+"g", id+"d", 1))
		put("realisations/sha256:"+id+"e!out.doi", strings.Replace(realisation("kept"), id+"k", id+"e", 1))
		put("nar/of-a-killed-writer.nar", "x")
		put("nar/of-a-killed-writer.idx", "x")
		put("index.html", "x")
		put("somebody/else", "x")
		time.Sleep(2 * day)

		report, err := gc.Collect(t.Context(), cache, gc.Options{Roots: paths("kept")})
		require.NoError(t, err)
		assert.Equal(t, 1, report.Realisations)
		assert.Equal(t, []string{"realisations/sha256:" + id + "e!out.doi"}, keys(t, b, "realisations/"))
		assert.Len(t, keys(t, b, "debuginfo/"), 3)
		_, err = gc.Undo(t.Context(), cache, report.Run)
		require.NoError(t, err)
		assert.Len(t, keys(t, b, "realisations/"), 2, "undo brings them back")

		time.Sleep(2 * day)
		_, err = gc.Collect(t.Context(), cache, gc.Options{Roots: paths("kept")})
		require.NoError(t, err)
		time.Sleep(31 * day)
		report, err = gc.Collect(t.Context(), cache, gc.Options{Roots: paths("kept")})
		require.NoError(t, err)
		assert.Equal(t, 6, report.Destroyed.Objects, "an archive, its listing and its link, a log, what a killed writer left")
		assert.Equal(t, []string{"debuginfo/aa" + strings.Repeat("0", 38) + ".debug", "debuginfo/cc" + strings.Repeat("0", 38) + ".debug"}, keys(t, b, "debuginfo/"))
		assert.Equal(t, []string{"log/" + path("kept").String()}, keys(t, b, "log/"))
		assert.Equal(t, []string{url("kept")}, keys(t, b, "nar/"))
		assert.Equal(t, []string{"index.html"}, keys(t, b, "index"))
		assert.Equal(t, []string{"somebody/else"}, keys(t, b, "some"))
		assert.Contains(t, keys(t, b, ""), path("kept").HashPart()+".ls")
		assert.NotContains(t, keys(t, b, ""), path("gone").HashPart()+".ls")
	})
}

// A writer that knows nothing of collectors relies on what it remembers. The
// next run brings that back.
func TestForeignWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache, b := newCache(t)
		add(t, cache, "libc", "lib: libc", "app: lib")
		time.Sleep(2 * day)
		_, err := gc.Collect(t.Context(), cache, gc.Options{})
		require.NoError(t, err)
		assert.Empty(t, names(t, b))
		var text bytes.Buffer
		p := info("new", "app")
		p.NarHash, p.NarSize = narHash("new")
		text.WriteString("StorePath: /nix/store/" + p.Path.String() + "\nURL: nar/new.nar\nCompression: none\nNarHash: " + p.NarHash.String() +
			"\nNarSize: 120\nReferences: " + path("app").String() + "\n")
		for key, body := range map[string]string{"nar/new.nar": archive("new"), p.Path.HashPart() + ".narinfo": text.String()} {
			_, err = b.Put(t.Context(), key, strings.NewReader(body), blob.PutOptions{})
			require.NoError(t, err)
		}
		report, err := gc.Collect(t.Context(), cache, gc.Options{})
		require.NoError(t, err)
		assert.ElementsMatch(t, paths("libc", "lib", "app"), report.Restored)
		assert.Equal(t, "app lib libc new", names(t, b))
	})
}
