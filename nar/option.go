package nar

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
)

// Option adjusts [Dump], [DumpFS] and [Restore]. An Option given to a function
// that it does not apply to makes that function fail.
type Option func(*options) error

type options struct {
	restoring bool

	keep      func(path string, d fs.DirEntry) bool
	caseHack  bool
	canonical bool
	sync      bool
	whole     bool
	workers   int
}

func newOptions(restoring bool, opts []Option) (*options, error) {
	o := &options{
		restoring: restoring,
		caseHack:  runtime.GOOS == "darwin",
		workers:   min(runtime.GOMAXPROCS(0), maxDefaultWorkers),
	}
	for _, opt := range opts {
		if err := opt(o); err != nil {
			return nil, err
		}
	}
	return o, nil
}

var (
	errDumpOnly    = errors.New("nar: option applies to Dump and DumpFS only")
	errRestoreOnly = errors.New("nar: option applies to Restore only")
)

// restoreOnly returns an option that makes all functions but Restore fail.
func restoreOnly(name string, set func(*options)) Option {
	return func(o *options) error {
		if !o.restoring {
			return fmt.Errorf("%w: %s", errRestoreOnly, name)
		}
		set(o)
		return nil
	}
}

// WithFilter leaves out of a dump the entries for which keep returns false,
// directories with all that is below them. The path is slash-separated and
// begins below the root, which is never asked for; it names the entry as the
// NAR does. keep is called from one goroutine, not the caller's. For Dump and
// DumpFS.
func WithFilter(keep func(path string, d fs.DirEntry) bool) Option {
	return func(o *options) error {
		if o.restoring {
			return fmt.Errorf("%w: WithFilter", errDumpOnly)
		}
		o.keep = keep
		return nil
	}
}

// WithCaseHack says whether names carry Nix's "case hack", which lets names
// that differ in case only live in one directory of a file system that does
// not tell them apart. Restore gives the second such name and those after it
// the suffix "~nix~case~hack~<n>", and refuses names that have it already;
// Dump and DumpFS take the suffix off again, and fail where two entries then
// have one name. The default is true on macOS and false elsewhere.
func WithCaseHack(on bool) Option {
	return func(o *options) error {
		o.caseHack = on
		return nil
	}
}

// WithStoreMetadata gives what is restored the modes and times of a Nix store:
// 0444 for files, 0555 for executable ones and, once they are filled, for
// directories, and a modification time of 1 second after the epoch. Without
// it, modes are those that new files get, and times the present. For Restore.
func WithStoreMetadata() Option {
	return restoreOnly("WithStoreMetadata", func(o *options) { o.canonical = true })
}

// WithSync makes Restore flush all files and directories to stable storage
// before it returns.
func WithSync() Option {
	return restoreOnly("WithSync", func(o *options) { o.sync = true })
}

// WithWholeReader makes Restore read on to the end of its reader, where one that
// decompresses or compares a hash says whether all was well. Bytes behind the
// NAR make Restore fail, and so does an error there.
func WithWholeReader() Option {
	return restoreOnly("WithWholeReader", func(o *options) { o.whole = true })
}

// maxDefaultWorkers bounds the default of WithWorkers: creating files in one
// directory does not get faster with more.
const maxDefaultWorkers = 4

// WithWorkers sets how many goroutines write small files while Restore reads
// on; 0 means that the calling goroutine writes all. Each takes 256 KiB of
// memory. The default is GOMAXPROCS, at most 4. For Restore.
func WithWorkers(n int) Option {
	return func(o *options) error {
		if !o.restoring {
			return fmt.Errorf("%w: WithWorkers", errRestoreOnly)
		}
		if n < 0 {
			return fmt.Errorf("nar: WithWorkers(%d): must not be negative", n)
		}
		o.workers = n
		return nil
	}
}
