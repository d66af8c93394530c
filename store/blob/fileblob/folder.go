package fileblob

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// The modes of what the bucket makes, which do not depend on the umask.
const (
	fileMode   = 0o644
	folderMode = 0o755
)

// makeDirectory makes a directory and those above it. With sync, their names
// last.
func makeDirectory(dir string, sync bool) error {
	err := os.Mkdir(dir, folderMode)
	parent := filepath.Dir(dir)
	if errors.Is(err, fs.ErrNotExist) && parent != dir {
		if err := makeDirectory(parent, sync); err != nil {
			return err
		}
		err = os.Mkdir(dir, folderMode)
	}
	if err != nil {
		if info, statErr := os.Stat(dir); statErr == nil && info.IsDir() {
			return nil
		}
		return err
	}
	open := func(name string) func() (*os.File, error) {
		return func() (*os.File, error) { return os.OpenFile(name, os.O_RDONLY|nonblock, 0) }
	}
	err = setMode(open(dir))
	if err == nil && sync {
		err = syncFile(open(parent))
	}
	return err
}

// makeFolder makes a folder of the bucket and those above it.
func (b *Bucket) makeFolder(dir string) error {
	err := b.root.Mkdir(dir, folderMode)
	if errors.Is(err, fs.ErrNotExist) && path.Dir(dir) != "." {
		if err := b.makeFolder(path.Dir(dir)); err != nil {
			return err
		}
		err = b.root.Mkdir(dir, folderMode)
	}
	if err != nil {
		return err
	}
	b.did("mkdir", dir)
	return setMode(func() (*os.File, error) { return b.openFile(dir) })
}

// inFolder does what needs a folder, and makes the folder if it is missing.
func (b *Bucket) inFolder(dir string, do func() error) error {
	err := do()
	for i := 0; i < attempts && dir != "." && errors.Is(err, fs.ErrNotExist); i++ {
		// Another writer may make or remove the folder at the same time.
		if err := b.makeFolder(dir); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
			return occupied(err)
		}
		err = do()
	}
	return occupied(err)
}

// attempts is how often a folder is made that another writer removes at once
// because it is empty.
const attempts = 100

// occupied explains the error of a write if its folder is an object or its name
// is a folder. The plain error would read as a missing object.
func occupied(err error) error {
	if errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.EISDIR) || errors.Is(err, errIsFolder) {
		return fmt.Errorf("a file and a folder cannot have the same name: %v", err)
	}
	return err
}

var errIsFolder = errors.New("a folder has the name of the object")

// prune removes a folder of the bucket, and those above it, as far as they are
// empty.
func (b *Bucket) prune(dir string) {
	for ; dir != "."; dir = path.Dir(dir) {
		if info, err := b.root.Lstat(dir); err != nil || !info.IsDir() || b.removeFile(dir) != nil {
			return
		}
	}
}

// entry is a file or a folder in a folder.
type entry struct {
	name string
	mode fs.FileMode // only the type
}

// key is the name as it takes part in the order of keys: the name of a folder
// ends in a slash.
func (e entry) key() string {
	if e.mode.IsDir() {
		return e.name + "/"
	}
	return e.name
}

// readFolder returns the entries of a folder in the order of the keys. A
// missing folder has none.
func (b *Bucket) readFolder(dir string) ([]entry, error) {
	f, err := b.openFile(dir)
	if isMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	found, err := f.ReadDir(-1)
	if err != nil && !isMissing(err) {
		return nil, err
	}
	entries := make([]entry, len(found))
	for i, d := range found {
		entries[i] = entry{d.Name(), d.Type()}
	}
	slices.SortFunc(entries, func(x, y entry) int { return strings.Compare(x.key(), y.key()) })
	return entries, nil
}
