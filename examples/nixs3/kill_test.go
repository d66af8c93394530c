package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/storetest"
)

// beCommand, in the environment, makes the test binary be nixs3.
const beCommand = "NIXS3_TEST_BE_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(beCommand) != "" {
		main()
	}
	os.Exit(m.Run())
}

// killedPaths is how many store paths the copies have that get killed.
const killedPaths = 30

// TestKilledCopy kills copies with SIGKILL at random moments. Whatever the
// moment, the destination must be a true and closed cache, and copying again
// must complete it without sending again what is there.
func TestKilledCopy(t *testing.T) {
	killCopies(t, 6, graph(t, 2<<20), func(t *testing.T) string {
		return fileURL(t, t.TempDir())
	})
}

// TestKilledCopyServers is TestKilledCopy at 50 moments on real servers, with
// an archive that goes up in parts.
func TestKilledCopyServers(t *testing.T) {
	servers := labServers(t)
	from := graph(t, 12<<20)
	for _, server := range servers {
		t.Run(server.name, func(t *testing.T) {
			killCopies(t, (50+len(servers)-1)/len(servers), from, func(t *testing.T) string {
				return server.url(t) + "&multipart-threshold=5242880"
			})
		})
	}
}

// killCopies kills a number of copies to fresh destinations.
func killCopies(t *testing.T, times int, from string, fresh func(*testing.T) string) {
	var undisturbed time.Duration
	for range 2 { // a server's first time may be slow
		begin := time.Now()
		_, err := startAndKill(t, time.Minute, "copy", "--all", "--from", from, "--to", fresh(t))
		require.NoError(t, err)
		undisturbed = time.Since(begin)
	}

	killed := 0
	for i := range times {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			took, ok := killCopy(t, rand.N(undisturbed), from, fresh(t))
			if ok {
				killed++
			} else { // what slowed the others down is over
				undisturbed = min(undisturbed, took)
			}
		})
	}
	assert.Positive(t, killed, "all copies were faster than %v", undisturbed)
}

// graph makes a cache in which every path refers to some before it, the last
// to all of them, and one archive has at least a size in bytes.
func graph(t *testing.T, size int) (url string) {
	t.Helper()
	url = fileURL(t, filepath.Join(t.TempDir(), "from"))
	cache, err := store.Open(t.Context(), url)
	require.NoError(t, err)
	defer cache.Close()
	var paths []storepath.Path
	for i := range killedPaths {
		file := filepath.Join(t.TempDir(), fmt.Sprintf("path-%d", i))
		contents := make([]byte, 20<<10)
		if i == killedPaths/2 {
			contents = make([]byte, size)
		}
		random := rand.NewChaCha8([32]byte{byte(i)})
		_, _ = random.Read(contents)
		require.NoError(t, os.WriteFile(file, contents, 0o644))

		references := paths[:min(i/2, 5)]
		if i == killedPaths-1 {
			references = paths
		}
		info, err := store.AddPath(t.Context(), cache, file, store.AddPathOptions{References: references})
		require.NoError(t, err)
		paths = append(paths, info.Path)
	}
	return url
}

// killCopy kills a copy at a moment, tells how long it ran and whether that was
// not to its end, and checks what it left behind.
func killCopy(t *testing.T, moment time.Duration, from, to string) (took time.Duration, killed bool) {
	begin := time.Now()
	stderr, err := startAndKill(t, moment, "copy", "--all", "--from", from, "--to", to)
	took, killed = time.Since(begin), err != nil
	t.Logf("killed after %v: %v\n%s", moment, err, stderr)

	cache, err := store.Open(t.Context(), to)
	require.NoError(t, err)
	defer cache.Close()
	bucket := cache.Bucket()
	before, err := storetest.CheckCache(t.Context(), bucket, storetest.CheckOptions{Uploads: true})
	require.NoError(t, err)

	again := nixs3(t, "", "copy", "--all", "--from", from, "--to", to)
	require.Equal(t, exitOK, again.exit, again.stderr)
	var copied, all, present int
	_, err = fmt.Sscanf(again.stderr, "%d of %d paths copied, %d there already", &copied, &all, &present)
	require.NoError(t, err, again.stderr)
	assert.Equal(t, killedPaths, copied+present)
	// A server may have finished since what it was asked before.
	assert.GreaterOrEqual(t, present, before.Paths)
	after, err := storetest.CheckCache(t.Context(), bucket, storetest.CheckOptions{Uploads: true})
	require.NoError(t, err)
	assert.Equal(t, killedPaths, after.Paths)
	assert.Equal(t, killedPaths, after.Archives, "an archive that was there is taken, not stored again")
	return took, killed
}

// startAndKill runs nixs3 in a process of its own and kills it after a time.
func startAndKill(t *testing.T, after time.Duration, args ...string) (stderr string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), after)
	defer cancel()
	program, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(ctx, program, args...) // which kills with SIGKILL
	cmd.Env = append(os.Environ(), beCommand+"=1")
	var out bytes.Buffer
	cmd.Stderr = &out
	err = cmd.Run()
	return out.String(), err
}
