package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
)

// CopyOptions say how Copy goes about it. The zero value copies the closure of
// the roots, verifies every byte and stops at the first failure.
type CopyOptions struct {
	// All copies every path of the source; roots are left out of account.
	All bool

	// NoClosure copies the roots alone. What they refer to must be at the
	// destination, or be a root too.
	NoClosure bool

	// DryRun plans only: the report has what would be done.
	DryRun bool

	// KeepGoing copies what it can past single failures. A path whose
	// reference failed is not published and counts as failed too.
	KeepGoing bool

	// Repair copies also what the destination has.
	Repair bool

	// TrustedKeys, when there are any, must have signed every path that is
	// copied, else nothing of it is fetched. Content-addressed paths need no
	// signature.
	TrustedKeys narinfo.TrustedKeys

	// Signers sign every path that is copied, besides those of the
	// destination's settings. Signatures of the source are kept.
	Signers []narinfo.Signer

	// Upstreams are caches that the destination's users have too: what one of
	// them serves with a good signature is not copied.
	Upstreams []Upstream

	Verify Verification

	// Progress is called ten times a second while something moves, and once
	// at the end, from one goroutine at a time.
	Progress func(Progress)
}

// Upstream is a cache whose paths need not be copied.
type Upstream struct {
	Store BinaryCacheStore
	Keys  narinfo.TrustedKeys // one of which must have signed the path
}

// Verification is how much of a compressed archive is checked when it passes
// from one cache to another without being compressed anew.
type Verification uint8

const (
	// VerifyContents decompresses each archive beside the copying and checks
	// NarHash, NarSize and structure, so that a source that lies or is broken
	// cannot get anything published.
	VerifyContents Verification = iota

	// VerifyFiles checks the FileHash only and believes the source that the
	// file has the NAR that its narinfo says. Paths that have a content address
	// and no signature by one of TrustedKeys are verified all the same: what
	// vouches for them are their contents.
	VerifyFiles

	// VerifyNothing believes the source altogether. Where both caches are
	// with one service, archives are copied there without passing through
	// this process; elsewhere it is VerifyFiles.
	VerifyNothing
)

// Progress is how far a copy has come.
type Progress struct {
	Paths, PathsTotal         int   // published, of all that are to be copied
	NARBytes, NARBytesTotal   int64 // of archives, uncompressed, that are stored
	FileBytes, FileBytesTotal int64 // read from the source, as it stores them; the total is a guess where it is not told
	Requests                  int64 // to the destination, since it was opened
}

// PathSize is a path that is to be copied.
type PathSize struct {
	Path     storepath.Path
	NarSize  int64
	FileSize int64 // at the source; 0 where it is not told
}

// PathError is a path that could not be copied.
type PathError struct {
	Path storepath.Path // zero where what describes it cannot be read
	Err  error
}

func (e *PathError) Error() string {
	if e.Path.IsZero() {
		return fmt.Sprintf("copying all paths: %v", e.Err)
	}
	return fmt.Sprintf("copying %s: %v", e.Path, e.Err)
}

// Unwrap returns the reason.
func (e *PathError) Unwrap() error { return e.Err }

// CopyReport is what a copy did, or with DryRun would do.
type CopyReport struct {
	Paths    int // that were looked at: the closure, and what could not be read
	Present  int // that the destination had already
	Upstream int // left out since an upstream has them
	Todo     []PathSize
	// Requests is how many requests to the destination the plan takes at
	// least; an archive in parts takes one for each part.
	Requests int

	Copied    int // paths that were published
	NARBytes  int64
	FileBytes int64        // read from the source
	Failed    []*PathError // where planning failed without KeepGoing, only the error tells
	Elapsed   time.Duration
}

// Copy copies the closure of the roots from one store to another. Archives go
// in parallel, the biggest first; a path becomes visible when all that it
// refers to is. So whatever happens, and whenever, the destination is a cache
// in which every visible path is whole and has its references; running Copy
// again finishes the work and sends only what is missing.
//
// An archive that the source has compressed is stored byte for byte, unless the
// destination's settings ask for another compression. Without KeepGoing the
// error is that of the first path that failed; with it, it says how many did.
// The report is valid in every case.
func Copy(ctx context.Context, dst BinaryCacheStore, src Source, roots []storepath.Path, opts CopyOptions) (CopyReport, error) {
	start := time.Now()
	c := &copier{dst: dst, src: src, opts: opts}
	err := c.run(ctx, roots)
	c.report.Elapsed = time.Since(start)
	return c.report, err
}

type copier struct {
	dst    BinaryCacheStore
	src    Source
	opts   CopyOptions
	report CopyReport
}

func (c *copier) run(ctx context.Context, roots []storepath.Path) error {
	if c.src.StoreDir() != c.dst.StoreDir() {
		return fmt.Errorf("%w: %s is of %s, %s of %s", ErrStoreDir, c.src, c.src.StoreDir(), c.dst, c.dst.StoreDir())
	}
	g, err := c.closure(ctx, roots)
	if err != nil {
		return err
	}
	todo, err := c.plan(ctx, g)
	if err != nil {
		return err
	}
	err = c.transfer(ctx, todo)
	if err == nil && len(c.report.Failed) > 0 {
		all := c.report.Paths - c.report.Present - c.report.Upstream
		err = fmt.Errorf("%d of %d paths could not be copied, the first: %w", len(c.report.Failed), all, c.report.Failed[0])
	}
	return err
}

// isAbsent tells a path that is not there, maybe since there is no bucket yet,
// from a store that cannot be asked.
func isAbsent(err error) bool {
	return errors.Is(err, ErrNotFound) || errors.Is(err, ErrNoSuchBucket)
}
