package main

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store"
	"example.com/nixs3/store/gc"
	"example.com/nixs3/store/storetest"
)

// TestKilledGC kills collections of a directory.
func TestKilledGC(t *testing.T) {
	killCollections(t, 4, fileURL(t, t.TempDir()), graph(t, 20<<10))
}

// TestKilledGCServers kills collections of each real server at 50 moments, while
// copies work. The cache must be sound each time, and the next run finish.
func TestKilledGCServers(t *testing.T) {
	servers := labServers(t)
	from := graph(t, 20<<10)
	for _, server := range servers {
		if strings.HasSuffix(server.name, "-tls") {
			continue // the same server again
		}
		t.Run(server.name, func(t *testing.T) {
			killCollections(t, 50, server.url(t), from)
		})
	}
}

func killCollections(t *testing.T, times int, to, from string) {
	collect := []string{"gc", "--store", to, "--recent", "0", "--grace", "0"}
	all := strings.Fields(nixs3(t, "", "path-info", "--store", from, "--all").stdout)
	copyTo := func(paths ...string) error {
		_, err := startAndKill(t, time.Minute, append([]string{"copy", "--from", from, "--to", to}, paths...)...)
		return err
	}
	require.NoError(t, copyTo(all...))
	got := nixs3(t, "", "root", "set", "--store", to, "root", all[0])
	require.Equal(t, exitOK, got.exit, got.stderr)
	var undisturbed time.Duration
	for range 2 { // the first one waits for writers that began before it
		require.NoError(t, copyTo(all...))
		begin := time.Now()
		_, err := startAndKill(t, time.Minute, collect...)
		require.NoError(t, err)
		undisturbed = time.Since(begin)
	}

	cache, err := store.Open(t.Context(), to)
	require.NoError(t, err)
	defer cache.Close()
	sound := func() {
		_, err := storetest.CheckCache(t.Context(), cache.Bucket(), storetest.CheckOptions{Uploads: true})
		require.NoError(t, err)
	}
	killed := 0
	for range times {
		copied := make(chan error, 1)
		go func() { copied <- copyTo(all[rand.N(len(all))], all[rand.N(len(all))]) }()
		begin := time.Now()
		if _, err := startAndKill(t, rand.N(undisturbed), collect...); err != nil {
			killed++
		} else { // what slowed the others down is over
			undisturbed = min(undisturbed, time.Since(begin))
		}
		got := nixs3(t, "", append(collect, "--json")...) // which takes the lock over
		require.Equal(t, exitOK, got.exit, got.stderr)
		var report gc.Report
		require.NoError(t, json.Unmarshal([]byte(got.stdout), &report))
		require.NoError(t, <-copied)
		sound()
	}
	assert.Positive(t, killed, "all collections were faster than %v", undisturbed)
	got = nixs3(t, "", collect...)
	require.Equal(t, exitOK, got.exit, got.stderr)
	sound()
	assert.Contains(t, nixs3(t, "", "path-info", "--store", to, "--all").stdout, all[0])
}
