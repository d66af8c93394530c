package store_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/nar"
	"example.com/nixs3/narinfo"
	"example.com/nixs3/store"
	"example.com/nixs3/store/storetest"
	"example.com/nixs3/store/storetest/fakes3"
)

// raceDetector tells that memory is not what it would be without.
var raceDetector bool

// hugeSize is the size of the huge archive in bytes: that of NIXS3_HUGE, by
// default something that a plain test run can afford.
func hugeSize(t testing.TB) int64 {
	text := os.Getenv("NIXS3_HUGE")
	if text == "" {
		return 160 << 20
	}
	n, err := strconv.ParseInt(text, 10, 64)
	require.NoError(t, err)
	return n
}

// hugeArchive writes the NAR of one file of made-up contents that compress to
// about a sixth, without holding them.
func hugeArchive(size int64) func(io.Writer) error {
	return func(w io.Writer) error {
		nw := nar.NewWriter(w)
		if err := nw.WriteHeader(&nar.Header{Type: nar.TypeRegular, Size: size}); err != nil {
			return err
		}
		random := rand.NewChaCha8([32]byte{1})
		words := make([]byte, 4<<20)
		for i := 0; i < len(words); i += 96 {
			_, _ = random.Read(words[i:min(i+16, len(words))])
		}
		for n := int64(0); n < size; n += int64(len(words)) {
			binary.LittleEndian.PutUint64(words, uint64(n))
			if _, err := nw.Write(words[:min(int64(len(words)), size-n)]); err != nil {
				return err
			}
		}
		return nw.Close()
	}
}

// inChild runs the rest of a test in a process of its own and returns the peak
// of its memory in bytes. In that process it returns 0.
func inChild(t *testing.T, env ...string) int64 {
	t.Helper()
	const mark = "NIXS3_TEST_CHILD"
	if os.Getenv(mark) != "" {
		return 0
	}
	if runtime.GOOS != "linux" || raceDetector {
		t.Skip("peak memory is read from /proc, and without the race detector")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(append(os.Environ(), mark+"=1"), env...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	m := regexp.MustCompile(`peak memory (\d+) bytes`).FindSubmatch(out)
	require.NotNil(t, m, "%s", out)
	peak, err := strconv.ParseInt(string(m[1]), 10, 64)
	require.NoError(t, err)
	t.Logf("peak memory %d MiB", peak>>20)
	return peak
}

// reportPeak prints the peak of this process for inChild.
func reportPeak(t *testing.T) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	m := regexp.MustCompile(`VmHWM:\s*(\d+) kB`).FindSubmatch(status)
	require.NotNil(t, m)
	kib, err := strconv.ParseInt(string(m[1]), 10, 64)
	require.NoError(t, err)
	fmt.Printf("peak memory %d bytes\n", kib<<10)
}

// TestHugeArchiveInLittleMemory uploads a huge archive to S3 and downloads it,
// with default settings.
func TestHugeArchiveInLittleMemory(t *testing.T) {
	const childURL = "NIXS3_TEST_CHILD_URL"
	if url := os.Getenv(childURL); url != "" {
		roundTripHuge(t, open(t, url))
		reportPeak(t)
		return
	}
	s3 := storetest.NewS3(t, fakes3.Options{Buckets: []string{"cache"}})
	t.Setenv("AWS_ACCESS_KEY_ID", fakes3.DefaultCredentials.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", fakes3.DefaultCredentials.SecretKey)
	url := childURL + "=s3://cache?multipart-threshold=10485760&endpoint=" + s3.Endpoint()
	require.Less(t, inChild(t, url), int64(128<<20))

	// More cores take little more.
	require.Less(t, inChild(t, url, "GOMAXPROCS=16"), int64(160<<20))
}

func roundTripHuge(t *testing.T, c *store.Cache) {
	size := hugeSize(t)
	r := nar.NewDumpReader(t.Context(), hugeArchive(size))
	defer r.Close()
	info := &narinfo.PathInfo{Path: madeUpPath(1, "huge")}
	added, err := c.Add(t.Context(), info, r, store.AddOptions{})
	require.NoError(t, err)
	require.Greater(t, added.NarSize, size)
	archive, err := c.NAR(t.Context(), info.Path)
	require.NoError(t, err)
	defer archive.Close()
	n, err := io.Copy(io.Discard, archive)
	require.NoError(t, err)
	require.Equal(t, added.NarSize, n)
}

// TestFetchInLittleMemory restores a tree from a file:// cache.
func TestFetchInLittleMemory(t *testing.T) {
	const childURL = "NIXS3_TEST_CHILD_URL"
	p := madeUpPath(1, "tree")
	if url := os.Getenv(childURL); url != "" {
		require.NoError(t, store.Restore(t.Context(), open(t, url), p, filepath.Join(t.TempDir(), "tree")))
		reportPeak(t)
		return
	}
	url := "file://" + t.TempDir()
	r := nar.NewDumpReader(t.Context(), treeArchive)
	defer r.Close()
	_, err := open(t, url).Add(t.Context(), &narinfo.PathInfo{Path: p}, r, store.AddOptions{})
	require.NoError(t, err)
	require.Less(t, inChild(t, childURL+"="+url), int64(48<<20))
}

// treeArchive writes the NAR of 4,000 files, small ones and some large.
func treeArchive(w io.Writer) error {
	nw := nar.NewWriter(w)
	if err := nw.WriteHeader(&nar.Header{Type: nar.TypeDirectory}); err != nil {
		return err
	}
	random := rand.NewChaCha8([32]byte{2})
	for i := range 4_000 {
		contents := make([]byte, 8_000)
		if i%200 == 0 {
			contents = make([]byte, 4_000_000)
		}
		_, _ = random.Read(contents[:len(contents)/3])
		if err := nw.WriteHeader(&nar.Header{Path: fmt.Sprintf("%04d", i), Type: nar.TypeRegular, Size: int64(len(contents))}); err != nil {
			return err
		}
		if _, err := nw.Write(contents); err != nil {
			return err
		}
	}
	return nw.Close()
}

// TestManySmallPathsInLittleMemory adds and reads 500 paths at the same time.
func TestManySmallPathsInLittleMemory(t *testing.T) {
	if peak := inChild(t); peak > 0 {
		require.Less(t, peak, int64(256<<20))
		return
	}
	c := open(t, "file://"+t.TempDir())
	objects := independent(t, 500, 20_000)
	parallel(objects, func(o object) {
		_, err := c.Add(context.Background(), o.info, bytes.NewReader(o.archive), store.AddOptions{})
		require.NoError(t, err)
	})
	dst := open(t, "file://"+t.TempDir()+"?compression=gzip")
	_, err := store.Copy(t.Context(), dst, c, paths(objects), store.CopyOptions{})
	require.NoError(t, err)
	parallel(objects, func(o object) { requireReads(t, dst, o.info.Path) })
	reportPeak(t)
}

func parallel(objects []object, do func(object)) {
	var wg sync.WaitGroup
	for _, o := range objects {
		wg.Go(func() { do(o) })
	}
	wg.Wait()
}
