package store_test

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/layout"
	"example.com/nixs3/store/storetest"
)

// presenceOf returns a client of a bucket that uses its index of paths, and the
// requests that it sends.
func presenceOf(t *testing.T, b blob.Bucket, name string, keys ...narinfo.SecretKey) (*store.Cache, *storetest.FaultBucket) {
	log := storetest.NewFaultBucket(b, nil)
	settings := store.Settings{Presence: name}
	for _, k := range keys {
		settings.PresenceKeys = append(settings.PresenceKeys, k.Public())
	}
	return newCache(t, log, settings), log
}

// absentPaths returns paths that no test adds.
func absentPaths(n int) []storepath.Path {
	paths := make([]storepath.Path, n)
	for i := range paths {
		paths[i] = madeUpPath(1_000_000+uint64(i), "absent")
	}
	return paths
}

func TestPresence(t *testing.T) {
	lib, user, top := smallClosure(t)
	key := newKey(t, "ci-1")
	c, b := fill(t, []object{lib, user}, store.Settings{Signers: []narinfo.Signer{key}})
	report, err := c.PublishPresence(t.Context(), store.PresenceOptions{Name: "ci"})
	require.NoError(t, err)
	require.Equal(t, 2, report.Paths)
	requireSound(t, b)

	client, log := presenceOf(t, b, "ci", key)
	for _, p := range absentPaths(500) {
		has, err := client.Has(t.Context(), p)
		require.NoError(t, err)
		require.False(t, has)
		_, _, err = client.ReadObject(t.Context(), layout.NarInfoKey(p.HashPart()))
		require.ErrorIs(t, err, store.ErrNotFound)
	}
	// 2 of the description and the index, and 2 for 1 of 256 on average.
	require.Less(t, len(log.Log()), 30)
	for _, o := range []object{lib, user} {
		has, err := client.Has(t.Context(), o.info.Path)
		require.NoError(t, err)
		require.True(t, has)
	}

	// A path that is added meanwhile is not there for clients that have not
	// written themselves. Checks before a write always ask.
	add(t, c, top, store.AddOptions{})
	has, err := client.Has(t.Context(), top.info.Path)
	require.NoError(t, err)
	require.False(t, has)
	_, err = client.NarInfo(t.Context(), top.info.Path)
	require.ErrorContains(t, err, "by the cache's index of paths of 2")
	over := newObject(t, 9, []byte("over"), top.info.Path)
	add(t, client, over, store.AddOptions{})
	has, err = client.Has(t.Context(), top.info.Path)
	require.NoError(t, err)
	require.True(t, has)
}

// An index that cannot be trusted, read or used makes the client ask, as without
// one.
func TestPresenceThatIsNotUsed(t *testing.T) {
	lib, _, _ := smallClosure(t)
	key, other := newKey(t, "ci-1"), newKey(t, "other-1")
	_, b := fill(t, []object{lib}, store.Settings{})
	publish := func(name string, b blob.Bucket, k narinfo.SecretKey, settings store.Settings) []byte {
		c := newCache(t, b, settings)
		_, err := c.PublishPresence(t.Context(), store.PresenceOptions{Name: name, Signers: []narinfo.Signer{k}})
		require.NoError(t, err)
		data, _, err := blob.ReadAll(t.Context(), b, layout.PresenceKey, 1<<20)
		require.NoError(t, err)
		return data
	}
	empty := memblob.New()
	good := publish("ci", empty, key, store.Settings{})
	for name, data := range map[string][]byte{
		"none":                      nil,
		"nothing":                   {},
		"text":                      []byte("<html>"),
		"by another key":            publish("ci", empty, other, store.Settings{}),
		"of another cache":          publish("prod", empty, key, store.Settings{}),
		"of another store":          publish("ci", memblob.New(), key, store.Settings{StoreDir: "/gnu/store"}),
		"truncated":                 good[:len(good)-1],
		"with something at its end": append(bytes.Clone(good), 'x'),
	} {
		t.Run(name, func(t *testing.T) {
			if data != nil {
				_, err := b.Put(t.Context(), layout.PresenceKey, bytes.NewReader(data), blob.PutOptions{})
				require.NoError(t, err)
			}
			client, log := presenceOf(t, b, "ci", key)
			has, err := client.Has(t.Context(), lib.info.Path)
			require.NoError(t, err)
			require.True(t, has, "the index, if it were used, has no path")
			for _, p := range absentPaths(10) {
				has, err := client.Has(t.Context(), p)
				require.NoError(t, err)
				require.False(t, has)
			}
			require.Equal(t, 1+1+11, len(log.Log()), "description, index once, and each path")
		})
	}
	t.Run("larger than its bound", func(t *testing.T) {
		client, _ := presenceOf(t, largeIndex{b}, "ci", key)
		has, err := client.Has(t.Context(), lib.info.Path)
		require.NoError(t, err)
		require.True(t, has)
	})
}

// largeIndex is a bucket that announces an index of 1 TiB.
type largeIndex struct{ blob.Bucket }

func (b largeIndex) Get(ctx context.Context, key string, opts blob.GetOptions) (*blob.Object, error) {
	obj, err := b.Bucket.Get(ctx, key, opts)
	if err == nil && key == layout.PresenceKey {
		obj.Size, obj.Length = 1<<40, 1<<40
	}
	return obj, err
}

func TestPresenceExpires(t *testing.T) {
	lib, user, top := smallClosure(t)
	key := newKey(t, "ci-1")
	c, b := fill(t, []object{lib, user}, store.Settings{Compression: "none", Signers: []narinfo.Signer{key}})
	synctest.Test(t, func(t *testing.T) {
		publish := func() {
			_, err := c.PublishPresence(t.Context(), store.PresenceOptions{Name: "ci", Lifetime: time.Hour})
			require.NoError(t, err)
		}
		client, log := presenceOf(t, b, "ci", key)
		requests := func() int {
			log.ResetLog()
			for _, p := range absentPaths(50) {
				has, err := client.Has(t.Context(), p)
				require.NoError(t, err)
				require.False(t, has)
			}
			return len(log.Log())
		}
		require.Equal(t, 52, requests(), "without an index")
		publish()
		require.Equal(t, 50, requests(), "it looks for an index every ten minutes")
		time.Sleep(10 * time.Minute)
		require.Less(t, requests(), 10)
		add(t, c, top, store.AddOptions{})
		time.Sleep(50 * time.Minute)
		has, err := client.Has(t.Context(), top.info.Path)
		require.NoError(t, err)
		require.True(t, has, "the index has expired")
		require.Equal(t, 50, requests())
		publish()
		time.Sleep(10 * time.Minute)
		require.Less(t, requests(), 10)
	})
}

func TestPresenceInterrupted(t *testing.T) {
	lib, _, _ := smallClosure(t)
	key := newKey(t, "ci-1")
	c, b := fill(t, []object{lib}, store.Settings{Signers: []narinfo.Signer{key}})
	_, err := c.PublishPresence(t.Context(), store.PresenceOptions{Name: "ci"})
	require.NoError(t, err)
	client, _ := presenceOf(t, b, "ci", key)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = client.NarInfo(ctx, absentPaths(1)[0])
	require.ErrorIs(t, err, context.Canceled)
	_, err = client.NarInfo(t.Context(), absentPaths(1)[0])
	require.ErrorIs(t, err, store.ErrNotFound)
}

// A copy asks an upstream for none of the paths that its index lacks.
func TestPresenceOfAnUpstream(t *testing.T) {
	lib, user, top := smallClosure(t)
	key := newKey(t, "up-1")
	up, b := fill(t, []object{lib}, store.Settings{Signers: []narinfo.Signer{key}})
	_, err := up.PublishPresence(t.Context(), store.PresenceOptions{Name: "up"})
	require.NoError(t, err)
	src, _ := fill(t, []object{lib, user, top}, store.Settings{})
	client, log := presenceOf(t, b, "up", key)
	report, err := store.Copy(t.Context(), newCache(t, memblob.New(), store.Settings{}), src, []storepath.Path{user.info.Path},
		store.CopyOptions{DryRun: true, Upstreams: []store.Upstream{{Store: client, Keys: narinfo.TrustedKeys{key.Public()}}}})
	require.NoError(t, err)
	require.Equal(t, 1, report.Upstream)
	require.Equal(t, 3, len(log.Log()), "description, index and the path that is there")
}

func TestPresenceNeedsKeys(t *testing.T) {
	_, err := store.New(memblob.New(), store.Settings{Presence: "ci"})
	require.ErrorContains(t, err, "expected trusted keys")
	key := newKey(t, "ci-1")
	c := newCache(t, memblob.New(), store.Settings{Presence: "ci", TrustedKeys: narinfo.TrustedKeys{key.Public()}})
	require.Equal(t, narinfo.TrustedKeys{key.Public()}, c.Settings().PresenceKeys)
	_, err = c.PublishPresence(t.Context(), store.PresenceOptions{Name: "ci"})
	require.ErrorContains(t, err, "expected a key to sign it with")
	for _, opts := range []store.PresenceOptions{{}, {Name: "a b"}, {Name: "ci", Lifetime: 8 * 24 * time.Hour}, {Name: "ci", Lifetime: -1}} {
		opts.Signers = []narinfo.Signer{key}
		_, err = c.PublishPresence(t.Context(), opts)
		require.Error(t, err)
	}
}
