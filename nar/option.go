package nar

import (
	"fmt"
	"io/fs"
	"runtime"
)

// DumpOption adjusts [Dump] and [DumpFS].
type DumpOption interface{ applyDump(*options) }

// RestoreOption adjusts [Restore].
type RestoreOption interface{ applyRestore(*options) }

// Option adjusts both directions.
type Option interface {
	DumpOption
	RestoreOption
}

type options struct {
	keep      func(path string, d fs.DirEntry) bool
	caseHack  bool
	canonical bool
	sync      bool
	whole     bool
	workers   int
}

type (
	dumpOption    func(*options)
	restoreOption func(*options)
	caseHackOn    bool
)

func (f dumpOption) applyDump(o *options)       { f(o) }
func (f restoreOption) applyRestore(o *options) { f(o) }
func (on caseHackOn) applyDump(o *options)      { o.caseHack = bool(on) }
func (on caseHackOn) applyRestore(o *options)   { o.caseHack = bool(on) }

func dumpOptions(opts []DumpOption) *options {
	o := &options{caseHack: runtime.GOOS == "darwin"}
	for _, opt := range opts {
		opt.applyDump(o)
	}
	return o
}

func restoreOptions(opts []RestoreOption) (*options, error) {
	o := &options{
		caseHack: runtime.GOOS == "darwin",
		workers:  min(runtime.GOMAXPROCS(0), maxDefaultWorkers),
	}
	for _, opt := range opts {
		opt.applyRestore(o)
	}
	if o.workers < 0 {
		return nil, fmt.Errorf("nar: WithWorkers(%d): must not be negative", o.workers)
	}
	return o, nil
}

// WithFilter leaves an entry out of a dump, with everything below it, when keep
// returns false. The path is slash-separated, begins below the root and has the
// names that the NAR has. keep is not called for the root. All calls come from
// one goroutine, which is not the caller's.
func WithFilter(keep func(path string, d fs.DirEntry) bool) DumpOption {
	return dumpOption(func(o *options) { o.keep = keep })
}

// WithCaseHack turns Nix's "case hack" on or off. It lets names that differ in
// case only share a directory on a file system that ignores case. [Restore]
// adds the suffix "~nix~case~hack~<n>" to the second such name and to those
// after it, and refuses names that already have the suffix. [Dump] and [DumpFS]
// remove the suffix, and fail when two entries then have the same name. The
// default is true on macOS and false elsewhere.
func WithCaseHack(on bool) Option { return caseHackOn(on) }

// WithStoreMetadata gives restored objects the modes and times of a Nix store:
// 0444 for files, 0555 for executable files and for directories, and a
// modification time of 1 second after the epoch. Without it, modes are those of
// any new file and times are the present.
func WithStoreMetadata() RestoreOption {
	return restoreOption(func(o *options) { o.canonical = true })
}

// WithSync flushes all files and directories to stable storage before [Restore]
// returns.
func WithSync() RestoreOption {
	return restoreOption(func(o *options) { o.sync = true })
}

// WithWholeReader makes [Restore] read its reader to the end, where a reader
// that decompresses or compares a hash reports its verdict. Bytes after the NAR
// make Restore fail, and so does an error there.
func WithWholeReader() RestoreOption {
	return restoreOption(func(o *options) { o.whole = true })
}

// maxDefaultWorkers bounds the default of WithWorkers: more do not create files
// in one directory any faster.
const maxDefaultWorkers = 4

// WithWorkers sets how many goroutines write small files while [Restore] reads
// on. With 0 the calling goroutine writes all of them. Each worker takes 256 KiB
// of memory. The default is GOMAXPROCS, at most 4.
func WithWorkers(n int) RestoreOption {
	return restoreOption(func(o *options) { o.workers = n })
}
