package store

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"runtime"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/codec"
)

// Settings are the settings of a cache: the parameters that every binary cache
// URL of Nix has, and the bounds of this library. The zero value of a field is
// Nix's default if Nix has one, except for Compression.
type Settings struct {
	// StoreDir is the store directory of the paths; "" means /nix/store.
	StoreDir storepath.Dir

	// Compression of added archives. "" makes Add compress with zstd, and lets
	// Copy keep the compression of the source.
	Compression narinfo.Compression

	// CompressionLevel is the level in the codec's own numbers; 0 and -1 mean
	// its default.
	CompressionLevel int

	// ParallelCompression uses all cores for one archive, with about 15 MiB of
	// memory a core for zstd and 72 MiB for xz. nil means on for zstd, with as
	// many cores as the budget has memory for (three by default), and off for
	// the others.
	ParallelCompression *bool

	WriteListing   bool // also write <hashpart>.ls
	IndexDebugInfo bool // also write debuginfo/<build-id>.debug

	// Signers sign every path that is added.
	Signers []narinfo.Signer

	// TrustedKeys, when there are any, must have signed a path before its
	// archive is read, unless Trusted is set. Paths whose content address
	// gives their name need no signature.
	TrustedKeys narinfo.TrustedKeys
	Trusted     bool

	// Content-Encoding of the small objects that are written: a name of
	// package codec such as "br" or "zstd"; "" means none. A directory keeps no
	// Content-Encoding: br is refused there, and Nix cannot read the others.
	NarInfoCompression string
	ListingCompression string
	LogCompression     string

	// LocalNARCache is a directory that keeps the archives that FS has opened,
	// and Listing where no listing is stored, decompressed; "" means none.
	LocalNARCache string

	// Presence, if set, is the name of the cache in its signed index of paths,
	// which PublishPresence makes. While the index is fresh, and signed by one
	// of PresenceKeys (TrustedKeys if there are none), lookups of most paths that
	// are not in it fail with ErrNotFound without a request. So paths that were
	// added after the index was made are not found until it expires. A client
	// that changes the cache itself, and checks before it does, always asks. An
	// index that cannot be used is not an error.
	Presence     string
	PresenceKeys narinfo.TrustedKeys

	// Priority and WantMassQuery, when set, override the cache's own and are
	// written into a new cache.
	Priority      *int
	WantMassQuery *bool

	// PathInfoCacheSize is the number of narinfos that are remembered for an
	// hour. 0 means none: every read goes to the bucket.
	PathInfoCacheSize int

	Budget Budget

	// TrustSizes accepts an object with the key and size of an archive as the
	// archive. Without it, such an object counts only if the store vouches for
	// its bytes by a SHA-256 checksum. Otherwise the archive is sent again, since
	// a crash may leave objects of the right size with other bytes.
	TrustSizes bool

	// SpoolDir is the directory for archives that are too large for memory; ""
	// means os.TempDir.
	SpoolDir string

	// Logger gets warnings and, at debug level, a record of each operation. nil
	// is silent.
	Logger *slog.Logger
}

func (s *Settings) setDefaults() error {
	if s.StoreDir == "" {
		s.StoreDir = storepath.Default
	}
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	if len(s.PresenceKeys) == 0 {
		s.PresenceKeys = s.TrustedKeys
	}
	if s.Presence != "" && len(s.PresenceKeys) == 0 {
		return errors.New("presence: expected trusted keys that sign the index of paths, got none")
	}
	s.Budget.setDefaults()
	if err := s.Budget.check(); err != nil {
		return err
	}
	for _, encoding := range []*string{&s.NarInfoCompression, &s.ListingCompression, &s.LogCompression} {
		*encoding = cmp.Or(*encoding, codec.None)
	}
	for _, name := range []string{string(s.Compression), s.NarInfoCompression, s.ListingCompression, s.LogCompression} {
		if name == "" {
			continue
		}
		c, err := codec.Lookup(name)
		if err != nil {
			return err
		}
		if c.NewWriter == nil {
			return fmt.Errorf("compression %q cannot be written; choose another, or register a codec that compresses", name)
		}
	}
	return nil
}

// compression is the compression of archives that come uncompressed.
func (s *Settings) compression() narinfo.Compression {
	if s.Compression == "" {
		return "zstd"
	}
	return s.Compression
}

func (s *Settings) writerOptions() codec.WriterOptions {
	parallel := s.compression() == "zstd"
	if s.ParallelCompression != nil {
		parallel = *s.ParallelCompression
	}
	o := codec.WriterOptions{Level: s.CompressionLevel, Parallel: parallel}
	if parallel {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if s.ParallelCompression == nil {
		o.Workers = min(o.Workers, zstdWorkers(s.Budget.adding()))
	}
	return o
}
