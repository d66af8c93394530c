package store

import (
	"context"
	"fmt"
	"io"
	"iter"
	"time"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/internal/graph"
	"example.com/nixs3/store/internal/naming"
)

// CopyOptions are the options of Copy. The zero value copies the closure of the
// roots, verifies every byte and stops at the first failure.
type CopyOptions struct {
	// All copies every path of the source, and ignores the roots. Between two
	// caches of 64 paths and more it compares their listings, a thousand paths
	// per request and 33 bytes of memory a path, and reads only the narinfos that
	// the destination lacks. With Repair, Signers or Logs it reads all.
	All bool

	// NoClosure copies the roots alone. Their references must be at the
	// destination, or be roots too.
	NoClosure bool

	// TrustDestination stops at the paths that the destination has, and looks at
	// nothing below them: every visible path of a cache has its references, as
	// long as all who write and delete keep that rule. A copy of which little is
	// new then takes few requests, and the report counts only the paths that
	// were looked at. Without it, the default, the whole closure is compared, so
	// that holes that others have made are found and filled. All and Repair
	// compare everything in any case.
	TrustDestination bool

	// DryRun only plans: the report has what Copy would do.
	DryRun bool

	// KeepGoing continues after the failure of a path. A path whose reference
	// failed is not published and counts as failed too.
	KeepGoing bool

	// Repair also copies the paths that the destination has.
	Repair bool

	// TrustedKeys, when there are any, must have signed every path that is
	// copied. Nothing of another path is fetched, and its references are not
	// followed. Content-addressed paths need no signature.
	TrustedKeys narinfo.TrustedKeys

	// Limits bound the closure, which the source describes.
	Limits Limits

	// Signers sign every path that is copied, besides those of the
	// destination's settings, and add their signatures to the paths that the
	// destination has already if it has the method AddSignatures. Signatures of
	// the source are kept.
	Signers []narinfo.Signer

	// Logs also copies the build logs of the paths' derivers, from a LogSource
	// to a LogDestination.
	Logs bool

	// Upstreams are caches that the users of the destination have too. A path
	// that one of them serves with a good signature is not copied.
	Upstreams []Upstream

	Verify Verification

	// Keep, if set, is called when everything is at the destination, before a
	// garbage collector may take it: the moment to set a root. Copy returns its
	// error.
	Keep func(ctx context.Context) error

	// Progress is called ten times a second during the transfer, and once at
	// the end, from one goroutine at a time.
	Progress func(Progress)
}

// Upstream is a cache whose paths need not be copied.
type Upstream struct {
	// Store is a Source, of which only these two methods are called.
	Store interface {
		String() string
		PathInfo(ctx context.Context, p storepath.Path) (*narinfo.PathInfo, error)
	}

	Keys narinfo.TrustedKeys // one of which must have signed the path
}

// Destination is the interface that Copy requires of the store that it copies to.
// Every BinaryCacheStore implements it. Some destinations also implement the
// optional interfaces ServiceCopier, Sessions, RealisationDestination and
// LogDestination. If one has the method Stats of Cache, the progress and the
// report of a copy have its requests and bytes.
type Destination interface {
	String() string
	StoreDir() storepath.Dir
	Has(ctx context.Context, p storepath.Path) (bool, error)
	HashParts(ctx context.Context) iter.Seq2[string, error]
	Prepare(ctx context.Context, info *narinfo.PathInfo, archive io.Reader, opts AddOptions) (Pending, error)
}

// ServiceCopier is a Destination whose service may copy archives without moving
// them through this process.
type ServiceCopier interface {
	// PrepareCopy is Prepare for an archive of another store. It fails with
	// errors.ErrUnsupported where the service cannot copy it.
	PrepareCopy(ctx context.Context, src Source, file *narinfo.NarInfo, opts AddOptions) (Pending, error)
}

// CompressedSource is a Source that has narinfos, and the archives as they are
// stored. Copy passes them on without compressing them anew.
type CompressedSource interface {
	NarInfo(ctx context.Context, p storepath.Path) (*narinfo.NarInfo, error)
	NarInfos(ctx context.Context) iter.Seq2[*narinfo.NarInfo, error]
	OpenCompressed(ctx context.Context, info *narinfo.NarInfo) (io.ReadCloser, error)
}

// TrustingSource is a Source with trusted keys of its own.
type TrustingSource interface {
	// Trust fails with ErrUntrusted unless the archive of the path may be
	// read. strict reports whether only the path's content address vouches for
	// it; the address must then hold in its strict form.
	Trust(info *narinfo.PathInfo) (strict bool, err error)
}

// Limits bound a closure. The zero value of a field is its default, far above any
// real closure.
type Limits = graph.Limits

// Verification is the check of a compressed archive that passes from one cache to
// another without being compressed anew.
type Verification uint8

const (
	// VerifyContents decompresses each archive while it is copied, and checks
	// NarHash, NarSize and structure. So nothing of a lying or broken source is
	// published.
	VerifyContents Verification = iota

	// VerifyFiles checks only the FileHash, and trusts the source that the file
	// contains the NAR that its narinfo claims. Paths that have a content
	// address and no signature by one of TrustedKeys are verified in any case:
	// only their contents vouch for them.
	VerifyFiles

	// VerifyNothing trusts the source. If both caches are with one service, it
	// copies archives there without passing them through this process; otherwise
	// it is VerifyFiles.
	VerifyNothing
)

// PathSize is a path to copy, with its sizes.
type PathSize struct {
	Path     storepath.Path
	NarSize  int64
	FileSize int64 // at the source; 0 where it is not known
}

// CopyError is a path that could not be copied.
type CopyError struct {
	Path storepath.Path // zero where its description cannot be read
	Err  error
}

func (e *CopyError) Error() string {
	if e.Path.IsZero() {
		return fmt.Sprintf("copying all paths: %v", e.Err)
	}
	return naming.Error("copying "+e.Path.String(), e.Path.HashPart(), e.Err).Error()
}

// Unwrap returns the reason.
func (e *CopyError) Unwrap() error { return e.Err }

// CopyReport describes what a copy did, or with DryRun would do.
type CopyReport struct {
	Paths    int // of the closure, and those that could not be read
	Present  int // at the destination already
	Upstream int // left out because an upstream has them
	Todo     []PathSize
	// Requests is the smallest number of requests to the destination that the
	// plan takes; an archive in parts takes one more for each part.
	Requests int

	Copied       int // paths that were published
	NARBytes     int64
	FileBytes    int64 // read from the source
	BytesWritten int64 // to a destination that has Stats, narinfos included
	Realisations int   // that were copied
	Logs         int   // that were copied
	Signed       int   // paths that were at the destination, and carry the signatures of Signers now

	// Untrusted counts the realisations that were left out because none of
	// TrustedKeys has signed them.
	Untrusted int

	// Unlisted reports that the source cannot list its realisations, so that
	// none were copied.
	Unlisted bool

	Failed  []*CopyError // empty where planning failed without KeepGoing
	Elapsed time.Duration
}
