package store

import (
	"context"
	"io"
	"iter"

	"example.com/nixs3/nar"
	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
)

// Source is what store paths are copied from: any BinaryCacheStore, a local
// Nix store (package localstore), or something of the caller's own. It is safe
// for concurrent use.
type Source interface {
	// String describes the source for messages, without secrets.
	String() string

	// StoreDir is the store directory that its paths are in.
	StoreDir() storepath.Dir

	// PathInfo returns the description of a path, or an error that is
	// ErrNotFound. The caller owns the result.
	PathInfo(ctx context.Context, p storepath.Path) (*narinfo.PathInfo, error)

	// NAR opens the path's archive, decompressed. It is verified while it is
	// read: contents that do not match the path's NarHash and NarSize end in
	// an error, never in io.EOF. A blocked Read returns when the context ends.
	// The caller closes the archive.
	NAR(ctx context.Context, p storepath.Path) (io.ReadCloser, error)

	// AllPaths yields every valid path, in no particular order.
	AllPaths(ctx context.Context) iter.Seq2[storepath.Path, error]
}

// UnverifiedSource is implemented by sources that hash an archive to verify it.
// Copy hashes archives anyway, and does not ask the source to.
type UnverifiedSource interface {
	// UnverifiedNAR is Source.NAR without the verification.
	UnverifiedNAR(ctx context.Context, p storepath.Path) (io.ReadCloser, error)
}

// BinaryCacheStore is Nix's binary cache store, whole. *Cache implements it.
// It is safe for concurrent use.
type BinaryCacheStore interface {
	Source

	// CacheInfo returns the cache's own description. The settings of this store
	// take precedence over it.
	CacheInfo(ctx context.Context) (*narinfo.CacheInfo, error)

	// Has reports whether the path is in the cache.
	Has(ctx context.Context, p storepath.Path) (bool, error)

	// NarInfo returns the narinfo of a path. A narinfo of another path under
	// its key is an error.
	NarInfo(ctx context.Context, p storepath.Path) (*narinfo.NarInfo, error)

	// NarInfoByHash returns the narinfo with a hash part, the first 32
	// characters of a store path's base name.
	NarInfoByHash(ctx context.Context, hashPart string) (*narinfo.NarInfo, error)

	// NarInfos yields every narinfo, read in parallel, in no particular order.
	// The error of a single narinfo does not end the iteration; an error of the
	// listing does.
	NarInfos(ctx context.Context) iter.Seq2[*narinfo.NarInfo, error]

	// HashParts yields the hash part of every path in byte order. It lists the
	// bucket and reads no narinfo: a thousand paths a request.
	HashParts(ctx context.Context) iter.Seq2[string, error]

	// OpenNAR is NAR for a narinfo that was read before. Where the store has
	// trusted keys, it fails with ErrUntrusted before anything is fetched.
	OpenNAR(ctx context.Context, info *narinfo.NarInfo) (io.ReadCloser, error)

	// OpenCompressed opens the archive of a narinfo as it is stored:
	// compressed, and not verified. ErrUntrusted comes as from OpenNAR.
	OpenCompressed(ctx context.Context, info *narinfo.NarInfo) (io.ReadCloser, error)

	// Add publishes a path: Prepare and Publish in one. Without opts.Repair it
	// leaves a path that the cache already has as it is, and does not read the
	// archive.
	Add(ctx context.Context, info *narinfo.PathInfo, archive io.Reader, opts AddOptions) (*narinfo.NarInfo, error)

	// Prepare stores a path's archive without making the path visible. Every
	// claim of info is checked against the bytes; a claim that does not hold
	// is an error. A zero NarHash or NarSize claims nothing. The cache does not
	// keep info.
	Prepare(ctx context.Context, info *narinfo.PathInfo, archive io.Reader, opts AddOptions) (Pending, error)

	// AddSignatures signs a path that is in the cache, in place.
	AddSignatures(ctx context.Context, p storepath.Path, signers ...narinfo.Signer) (*narinfo.NarInfo, error)

	// Listing returns the listing of a path's archive: the stored one, else
	// one that is made from the archive.
	Listing(ctx context.Context, p storepath.Path) (*nar.Listing, error)

	// FS opens a path's archive as a file system. The whole of it is fetched
	// and verified first.
	FS(ctx context.Context, p storepath.Path) (*ArchiveFS, error)

	// Log opens the build log of a derivation; PutLog stores one.
	Log(ctx context.Context, drv storepath.Path) (io.ReadCloser, error)
	PutLog(ctx context.Context, drv storepath.Path, log io.Reader) error

	// Realisation returns what a derivation's output was realised to;
	// PutRealisation stores it under the key that its generation uses.
	Realisation(ctx context.Context, id narinfo.DrvOutput) (*narinfo.Realisation, error)
	PutRealisation(ctx context.Context, r *narinfo.Realisation) error

	// Delete makes paths invisible: their narinfos and listings go. Their
	// archives stay, because other paths may share them. It fails with
	// ErrReferenced, and deletes nothing, where other paths refer to one of
	// them.
	Delete(ctx context.Context, paths ...storepath.Path) error

	// Close releases the connections. No call may follow it.
	Close() error
}

// Pending is a path whose archive is stored and verified, and which is not
// visible yet. If it is never published, its archive stays unreferenced.
type Pending interface {
	// NarInfo returns what Publish makes visible.
	NarInfo() *narinfo.NarInfo

	// Publish makes the path visible. Its references must be in the cache,
	// else it fails with ErrMissingReference and nothing changes.
	Publish(ctx context.Context) error
}

// AddOptions say how a path is added. The zero value compresses as the cache's
// settings say.
type AddOptions struct {
	// Repair stores the archive and the narinfo even where they exist.
	Repair bool

	// Signatures by these are added to those of the cache's own signers.
	Signers []narinfo.Signer

	// Encoded says that the archive comes compressed, with the Compression,
	// FileHash and FileSize of this narinfo. It is stored byte for byte, unless
	// the cache's settings ask for another compression, and decompressed to
	// verify it. A zero FileHash or FileSize claims nothing.
	Encoded *narinfo.NarInfo

	// TrustNarHash believes that an Encoded archive with the FileHash has the
	// NarHash and NarSize of info, and saves its decompression.
	TrustNarHash bool

	// StrictContentAddress refuses a content address that holds only without
	// the offsets of the path's self-references. Nix 2.17 to 2.34 and Lix
	// compute such addresses. They let a forger put zero bytes in the place of
	// a self-reference, so something else has to vouch for the path. A cache
	// with trusted keys refuses them too unless one of its keys has signed.
	StrictContentAddress bool

	// Session is that of a writer of several paths; nil means that the path is
	// added under a session of its own.
	Session *Session

	// ReferencesPresent promises that all references are in the cache, and
	// saves the requests that would check it.
	ReferencesPresent bool

	// Keep, where set, is called by Add when the path is in the cache, and
	// before a collector of garbage may take it: the moment to set a root. Its
	// error is that of Add.
	Keep func(ctx context.Context, info *narinfo.NarInfo) error
}
