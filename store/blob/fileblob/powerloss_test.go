package fileblob_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/fileblob"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/internal/lab"
	"example.com/nixs3/store/storetest"
)

// drive models what a drive holds while a bucket writes to it. A file that was
// not synced is empty after a power loss. A name lasts when its folder has been
// synced since.
type drive struct {
	t   *testing.T
	dir string

	mu      sync.Mutex
	files   map[string]int            // name to number, as programs see them
	synced  map[int][]byte            // contents that last, by number
	lasting map[string]map[string]int // folder to the names in it that last; 0 is a folder
	next    int

	// check is called after every step that may change what a power loss leaves.
	check func(step string)
}

func newDrive(t *testing.T, opts fileblob.Options) (*drive, *fileblob.Bucket) {
	d := &drive{t: t, dir: t.TempDir(), files: map[string]int{}, synced: map[int][]byte{}, lasting: map[string]map[string]int{}}
	b := open(t, d.dir, opts)
	t.Cleanup(func() { b.Close() })
	b.Observe(d.observe)
	return d, b
}

func (d *drive) observe(step string, names ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch name := names[0]; step {
	case "create":
		d.next++
		d.files[name] = d.next
	case "sync":
		data, err := os.ReadFile(filepath.Join(d.dir, name))
		if err != nil {
			d.t.Error(err)
		}
		d.synced[d.files[name]] = data
	case "rename":
		d.files[names[1]] = d.files[name]
		delete(d.files, name)
	case "link":
		d.files[names[1]] = d.files[name]
	case "mkdir":
		d.files[name] = 0
	case "remove":
		delete(d.files, name)
	case "syncfolder":
		folder := map[string]int{}
		for file, number := range d.files {
			if path.Dir(file) == name {
				folder[path.Base(file)] = number
			}
		}
		d.lasting[name] = folder
	default:
		d.t.Errorf("unknown step %s", step)
	}
	if d.check != nil && step != "create" && step != "sync" {
		d.check(step + " " + strings.Join(names, " "))
	}
}

// afterLoss returns the names that exist after a power loss at this moment. Of
// the changes of names that no sync covers, those last that keep selects.
func (d *drive) afterLoss(keep func(name string) bool) map[string]int {
	left := map[string]int{}
	var walk func(dir string)
	walk = func(dir string) {
		for base, number := range d.lasting[dir] {
			name := path.Join(dir, base)
			if now, ok := d.files[name]; (!ok || now != number) && keep(name) {
				if !ok {
					continue // its removal lasts
				}
				number = now
			}
			left[name] = number
			if number == 0 {
				walk(name)
			}
		}
	}
	walk(".")
	for name, number := range d.files {
		if _, ok := left[name]; !ok && keep(name) {
			left[name] = number
			for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
				left[dir] = 0
			}
		}
	}
	return left
}

// requireSound panics unless a power loss leaves a whole cache.
func (d *drive) requireSound(step string, left map[string]int) storetest.CheckReport {
	b := memblob.New()
	for name, number := range left {
		if number != 0 && !strings.Contains(name, ".nixs3-put-") {
			_, err := b.Put(d.t.Context(), name, bytes.NewReader(d.synced[number]), blob.PutOptions{})
			require.NoError(d.t, err)
		}
	}
	report, err := storetest.CheckCache(d.t.Context(), b, storetest.CheckOptions{})
	if err != nil {
		panic(fmt.Sprintf("power loss after %q: %v", step, err)) // from any goroutine
	}
	return report
}

// none, all and some select the changes of names that last without a sync.
func none(string) bool { return false }
func all(string) bool  { return true }

func some(seed uint64) func(string) bool {
	rng := rand.New(rand.NewPCG(seed, 0))
	return func(string) bool { return rng.IntN(2) == 0 }
}

// copyCache copies a cache that Nix wrote into the bucket and returns the number
// of its paths.
func copyCache(t *testing.T, b blob.Bucket) int64 {
	t.Helper()
	from, err := store.Open(t.Context(), "file://"+lab.Cache(t, "zstd"))
	require.NoError(t, err)
	defer from.Close()
	to, err := store.New(b, store.Settings{})
	require.NoError(t, err)
	report, err := store.Copy(t.Context(), to, from, nil, store.CopyOptions{All: true})
	require.NoError(t, err)
	return int64(report.Paths)
}

// TestPowerLoss loses power after every step of a copy and of a removal: the
// directory is a whole cache each time.
func TestPowerLoss(t *testing.T) {
	d, b := newDrive(t, fileblob.Options{})
	steps := uint64(0)
	failed := ""
	d.check = func(step string) {
		defer func() {
			if p := recover(); p != nil && failed == "" {
				failed = fmt.Sprint(p)
			}
		}()
		steps++
		for _, keep := range []func(string) bool{none, all, some(steps)} {
			d.requireSound(step, d.afterLoss(keep))
		}
	}
	paths := copyCache(t, b)
	require.Empty(t, failed)
	require.Greater(t, steps, uint64(40))
	report := d.requireSound("the copy", d.afterLoss(none))
	require.EqualValues(t, paths, report.Paths, "what was copied lasts")

	// As a collector removes: all narinfos, then all archives.
	var narinfos, archives []string
	for name := range maps.Keys(d.files) {
		switch {
		case strings.HasSuffix(name, ".narinfo"):
			narinfos = append(narinfos, name)
		case strings.HasPrefix(name, "nar/"):
			archives = append(archives, name)
		}
	}
	d.check = func(step string) { // narinfos in any order: only their archives matter
		for _, keep := range []func(string) bool{none, all, some(steps)} {
			steps++
			left := d.afterLoss(keep)
			for name := range left {
				if strings.HasSuffix(name, ".narinfo") && slices.ContainsFunc(archives, func(a string) bool { return left[a] == 0 }) {
					failed = fmt.Sprintf("power loss after %q: %s is there and an archive is not", step, name)
				}
			}
		}
	}
	require.NoError(t, b.Delete(t.Context(), narinfos...))
	require.NoError(t, b.Delete(t.Context(), archives...))
	require.Empty(t, failed)
	for name := range d.afterLoss(none) {
		require.False(t, strings.HasSuffix(name, ".narinfo"), "the removal lasts")
	}
}

// TestPowerLossWithoutSync: the model finds what NoSync permits.
func TestPowerLossWithoutSync(t *testing.T) {
	d, b := newDrive(t, fileblob.Options{NoSync: true})
	copyCache(t, b)
	require.Panics(t, func() { d.requireSound("the copy", d.afterLoss(all)) })
}
