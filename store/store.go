package store

import (
	"context"
	"io"
	"iter"

	"example.com/nixs3/nar"
	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
)

// Source is a store to copy paths from: any BinaryCacheStore, a local Nix store
// (package localstore), or an implementation of the caller. It is safe for
// concurrent use.
type Source interface {
	// String describes the source for messages, without secrets.
	String() string

	// StoreDir is the store directory of its paths.
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

// BinaryCacheStore has all operations of Nix's binary cache store. *Cache
// implements it. It is safe for concurrent use.
type BinaryCacheStore interface {
	Source

	// CacheInfo returns the cache's own description. The settings of this store
	// take precedence over it.
	CacheInfo(ctx context.Context) (*narinfo.CacheInfo, error)

	// Has reports whether the path is in the cache.
	Has(ctx context.Context, p storepath.Path) (bool, error)

	// NarInfo returns the narinfo of a path. It fails if the path's key has the
	// narinfo of another path.
	NarInfo(ctx context.Context, p storepath.Path) (*narinfo.NarInfo, error)

	// NarInfoByHash returns the narinfo with a hash part, the first 32
	// characters of a store path's base name.
	NarInfoByHash(ctx context.Context, hashPart string) (*narinfo.NarInfo, error)

	// NarInfos yields every narinfo, read in parallel, in no particular order.
	// The error of a single narinfo does not end the iteration; an error of the
	// listing does.
	NarInfos(ctx context.Context) iter.Seq2[*narinfo.NarInfo, error]

	// HashParts yields the hash part of every path in byte order. It lists the
	// bucket, a thousand paths per request, and reads no narinfo.
	HashParts(ctx context.Context) iter.Seq2[string, error]

	// OpenNAR is NAR for a narinfo that was read before. If the store has
	// trusted keys, it may fail with ErrUntrusted, before it fetches anything.
	OpenNAR(ctx context.Context, info *narinfo.NarInfo) (io.ReadCloser, error)

	// OpenCompressed opens the archive of a narinfo as it is stored:
	// compressed, and not verified. It fails with ErrUntrusted as OpenNAR does.
	OpenCompressed(ctx context.Context, info *narinfo.NarInfo) (io.ReadCloser, error)

	// Add publishes a path: Prepare and Publish in one. Without opts.Repair it
	// does not change a path that the cache already has, and does not read the
	// archive.
	Add(ctx context.Context, info *narinfo.PathInfo, archive io.Reader, opts AddOptions) (*narinfo.NarInfo, error)

	// Prepare stores a path's archive without making the path visible. Every
	// claim of info is checked against the bytes; Prepare fails if one is false.
	// A zero NarHash or NarSize is not a claim. The cache does not keep info.
	Prepare(ctx context.Context, info *narinfo.PathInfo, archive io.Reader, opts AddOptions) (Pending, error)

	// AddSignatures signs a path that is in the cache, in place.
	AddSignatures(ctx context.Context, p storepath.Path, signers ...narinfo.Signer) (*narinfo.NarInfo, error)

	// Listing returns the listing of a path's archive: the stored one, else
	// one that is made from the archive.
	Listing(ctx context.Context, p storepath.Path) (*nar.Listing, error)

	// FS opens a path's archive as a file system, after it has fetched and
	// verified the whole archive.
	FS(ctx context.Context, p storepath.Path) (*ArchiveFS, error)

	// Log opens the build log of a derivation; PutLog stores one.
	Log(ctx context.Context, drv storepath.Path) (io.ReadCloser, error)
	PutLog(ctx context.Context, drv storepath.Path, log io.Reader) error

	// Realisation returns the realisation of a derivation's output;
	// PutRealisation stores one under the key of its generation.
	Realisation(ctx context.Context, id narinfo.DrvOutput) (*narinfo.Realisation, error)
	PutRealisation(ctx context.Context, r *narinfo.Realisation) error

	// Delete makes paths invisible: it deletes their narinfos and listings, but
	// not their archives, which other paths may share. It fails with
	// ErrReferenced, and deletes nothing, if other paths refer to one of them.
	Delete(ctx context.Context, paths ...storepath.Path) error

	// Close releases the connections. No other method may be called after it.
	Close() error
}

// Pending is a path whose archive is stored and verified, and that is not
// visible yet. If it is never published, its archive stays unreferenced.
type Pending interface {
	// NarInfo returns the narinfo that Publish makes visible.
	NarInfo() *narinfo.NarInfo

	// Publish makes the path visible. If the cache lacks a reference, Publish
	// fails with ErrMissingReference and changes nothing.
	Publish(ctx context.Context) error
}

// AddOptions are the options of Add. The zero value compresses according to the
// cache's settings.
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

	// TrustNarHash trusts that an Encoded archive with the FileHash has the
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

	// ReferencesPresent asserts that all references are in the cache, and saves
	// the requests that would check it.
	ReferencesPresent bool

	// Keep, if set, is called by Add when the path is in the cache, before a
	// garbage collector may take it: the moment to set a root. Add returns its
	// error.
	Keep func(ctx context.Context, info *narinfo.NarInfo) error
}
