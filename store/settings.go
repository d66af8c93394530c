package store

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/url"
	"runtime"
	"strconv"
	"strings"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/s3url"
	"example.com/nixs3/store/codec"
)

// Settings say how a cache is read and written: the parameters that every
// binary cache URL of Nix has, and the bounds of this library. The zero value
// is Nix's default wherever Nix has one, but for Compression.
type Settings struct {
	// StoreDir is the store directory of the paths; "" means /nix/store.
	StoreDir storepath.Dir

	// Compression of archives that are added. "" means zstd for what Add
	// compresses, and lets Copy keep the compression of the source.
	Compression narinfo.Compression

	// CompressionLevel is the level in the codec's own numbers; 0 and -1 mean
	// its default.
	CompressionLevel int

	// ParallelCompression uses all cores for one archive, whatever memory that
	// takes: about 15 MiB a core for zstd, 72 MiB for xz. nil means on for zstd,
	// on as many cores as the budget has memory for, three by default, and off
	// for all else.
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
	// package codec such as "br" or "zstd"; "" means none. In a directory, which
	// keeps no Content-Encoding, br is refused, and Nix reads none of them.
	NarInfoCompression string
	ListingCompression string
	LogCompression     string

	// LocalNARCache is a directory that keeps, uncompressed, the archives that
	// FS opened, and Listing where no listing is stored; "" means none.
	LocalNARCache string

	// Priority and WantMassQuery, when set, override the cache's own and are
	// written into a new cache.
	Priority      *int
	WantMassQuery *bool

	// SystemFeatures is carried for the caller; nothing here depends on it.
	SystemFeatures []string

	// PathInfoCacheSize is how many narinfos are remembered for
	// PathInfoCacheTTL. 0, the default here, means none: every question goes
	// to the bucket.
	PathInfoCacheSize int

	Budget Budget

	// SpoolDir is where archives wait that are too large for memory; ""
	// means os.TempDir.
	SpoolDir string

	// Logger gets warnings and, at debug level, what is done. nil is silent.
	Logger *slog.Logger
}

func (s *Settings) setDefaults() error {
	if s.StoreDir == "" {
		s.StoreDir = storepath.Default
	}
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	s.Budget.setDefaults()
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
			return fmt.Errorf("compression %q can be read but not written; choose another or register a codec that writes it", name)
		}
	}
	return nil
}

// compression is what Add compresses with.
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
		o.Workers = min(o.Workers, zstdWorkers(s.Budget.encoding()))
	}
	return o
}

// SettingsFromQuery reads the settings of a store URL's query, as Nix's manual
// ("S3 Binary Cache Store") has them, and the extensions of package s3url.
// Unknown and malformed ones are errors. Key files are read.
func SettingsFromQuery(q url.Values) (Settings, error) {
	var s Settings
	if err := s3url.CheckSettings(q); err != nil {
		return s, err
	}
	p := queryParser{q: q}
	s.StoreDir = storepath.Dir(p.str("store"))
	s.Compression = narinfo.Compression(p.str("compression"))
	s.CompressionLevel = p.number("compression-level")
	s.ParallelCompression = p.optionalBool("parallel-compression")
	s.WriteListing = p.bool("write-nar-listing")
	s.IndexDebugInfo = p.bool("index-debug-info")
	s.NarInfoCompression = p.str("narinfo-compression")
	s.ListingCompression = p.str("ls-compression")
	s.LogCompression = p.str("log-compression")
	s.LocalNARCache = p.str("local-nar-cache")
	s.Priority = p.optionalNumber("priority")
	s.WantMassQuery = p.optionalBool("want-mass-query")
	s.Trusted = p.bool("trusted")
	s.PathInfoCacheSize = p.number("path-info-cache-size")
	if p.q.Has("system-features") {
		s.SystemFeatures = strings.Fields(p.str("system-features"))
	}
	if p.err != nil {
		return s, p.err
	}

	files := p.list("secret-keys")
	if f := p.str("secret-key"); f != "" {
		files = append([]string{f}, files...)
	}
	for _, f := range files {
		key, err := narinfo.LoadSecretKey(f)
		if err != nil {
			return s, err
		}
		s.Signers = append(s.Signers, key)
	}
	return s, nil
}

// queryParser takes typed values out of a query. The first value of a key
// counts; CheckSettings has seen to it that they are well formed, so err is
// only set where the two disagree.
type queryParser struct {
	q   url.Values
	err error
}

func (p *queryParser) str(key string) string { return p.q.Get(key) }

func (p *queryParser) list(key string) []string {
	return strings.FieldsFunc(p.q.Get(key), func(r rune) bool { return r == ',' })
}

func (p *queryParser) optionalNumber(key string) *int {
	if !p.q.Has(key) {
		return nil
	}
	n, err := strconv.Atoi(p.q.Get(key))
	p.note(key, err)
	return &n
}

func (p *queryParser) number(key string) int {
	if n := p.optionalNumber(key); n != nil {
		return *n
	}
	return 0
}

func (p *queryParser) optionalBool(key string) *bool {
	if !p.q.Has(key) {
		return nil
	}
	b, err := s3url.ParseBool(p.q.Get(key))
	p.note(key, err)
	return &b
}

func (p *queryParser) bool(key string) bool {
	b := p.optionalBool(key)
	return b != nil && *b
}

func (p *queryParser) note(key string, err error) {
	if err != nil && p.err == nil {
		p.err = fmt.Errorf("parameter %s: %w", key, err)
	}
}
