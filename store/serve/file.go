package serve

import (
	"io/fs"
	"os"
	"sync"
	"time"
)

// reloaded is a value that is read from files, and read again when they have
// changed. A change that cannot be read leaves the value as it was.
type reloaded[T any] struct {
	files []string
	load  func() (T, error)
	warn  func(err error)

	mu     sync.Mutex
	value  T
	looked time.Time
	state  []fs.FileInfo
}

// lookEvery is how often the files are looked at.
const lookEvery = time.Second

func newReloaded[T any](files []string, load func() (T, error), warn func(error)) (*reloaded[T], error) {
	r := &reloaded[T]{files: files, load: load, warn: warn}
	var err error
	if r.state, err = r.stat(); err != nil {
		return nil, err
	}
	r.looked = time.Now()
	r.value, err = load()
	return r, err
}

func (r *reloaded[T]) stat() ([]fs.FileInfo, error) {
	var state []fs.FileInfo
	for _, file := range r.files {
		info, err := os.Stat(file)
		if err != nil {
			return nil, err
		}
		state = append(state, info)
	}
	return state, nil
}

// get returns the value of now.
func (r *reloaded[T]) get() T {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.looked) < lookEvery {
		return r.value
	}
	r.looked = time.Now()
	state, err := r.stat()
	if err == nil && same(state, r.state) {
		return r.value
	}
	if err == nil {
		var value T
		if value, err = r.load(); err == nil {
			r.value, r.state = value, state
		}
	}
	if err != nil && r.warn != nil {
		r.warn(err)
	}
	return r.value
}

func same(a, b []fs.FileInfo) bool {
	for i := range a {
		if !os.SameFile(a[i], b[i]) || a[i].Size() != b[i].Size() || !a[i].ModTime().Equal(b[i].ModTime()) {
			return false
		}
	}
	return true
}
