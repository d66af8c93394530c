package layout

import (
	"fmt"
	"net/url"
	"path"
	"strings"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
)

// CacheInfoKey is the key of the cache's description.
const CacheInfoKey = "nix-cache-info"

// Prefixes below which all objects are of one kind. The archives' indexes are
// below ArchivePrefix too.
const (
	ArchivePrefix   = "nar/"
	LogPrefix       = "log/"
	DebugInfoPrefix = "debuginfo/"
	ControlPrefix   = "nixs3/"
)

// The indexes of a whole cache, which are of the kind Control: no Nix reads them,
// and garbage collectors leave them alone.
const (
	FileIndexKey = ControlPrefix + "index/files"    // see package locate
	PresenceKey  = ControlPrefix + "index/presence" // see store.PublishPresence
)

// The two generations of realisations.
const (
	realisationPrefix = "realisations/"
	buildTracePrefix  = "build-trace-v2/"
)

const (
	narInfoSuffix   = ".narinfo"
	listingSuffix   = ".ls"
	indexSuffix     = ".idx"
	debugInfoSuffix = ".debug"
)

// NarInfoKey returns the key of the narinfo with a hash part.
func NarInfoKey(hashPart string) string { return hashPart + narInfoSuffix }

// ParseNarInfoKey returns the hash part of a narinfo's key, and whether the key
// is one.
func ParseNarInfoKey(key string) (hashPart string, ok bool) { return cutHashPart(key, narInfoSuffix) }

// ListingKey returns the key of the listing of the path with a hash part.
func ListingKey(hashPart string) string { return hashPart + listingSuffix }

// ParseListingKey returns the hash part of a listing's key, and whether the key
// is one.
func ParseListingKey(key string) (hashPart string, ok bool) { return cutHashPart(key, listingSuffix) }

func cutHashPart(key, suffix string) (string, bool) {
	hashPart, ok := strings.CutSuffix(key, suffix)
	if !ok || storepath.ValidateHashPart(hashPart) != nil {
		return "", false
	}
	return hashPart, true
}

// extensions are those that Nix appends to an archive's name. It appends none
// for the other compressions.
var extensions = map[narinfo.Compression]string{
	"xz": ".xz", "bzip2": ".bz2", "zstd": ".zst", "lzip": ".lzip", "lz4": ".lz4", "br": ".br",
}

// ArchiveKey returns the key of the archive whose file, compressed as said, has
// the hash.
func ArchiveKey(fileHash nixhash.Hash, c narinfo.Compression) string {
	return ArchivePrefix + fileHash.Nix32() + ".nar" + extensions[c]
}

// IndexKey returns the key of the index of the archive whose file has the hash.
func IndexKey(fileHash nixhash.Hash) string { return ArchivePrefix + fileHash.Nix32() + indexSuffix }

// LogKey returns the key of the build log of a derivation.
func LogKey(drv storepath.Path) string { return LogPrefix + drv.String() }

// DebugInfoKey returns the key of the link to the debug information with a
// build ID, in lower-case hexadecimal.
func DebugInfoKey(buildID string) string { return DebugInfoPrefix + buildID + debugInfoSuffix }

// RealisationPrefixes returns the prefixes below which realisations are, the
// older generation first.
func RealisationPrefixes() []string { return []string{realisationPrefix, buildTracePrefix} }

// RealisationKey returns the key of the realisation of a derivation's output.
func RealisationKey(id narinfo.DrvOutput) string { return id.Key() }

// ReferenceKey returns the key that the URL of a narinfo means in a bucket that
// is not a web server: the path of the reference, resolved against the root of
// the cache. An absolute URL is an error.
func ReferenceKey(ref string) (string, error) {
	u, err := url.Parse(ref)
	if err != nil {
		return "", fmt.Errorf("URL %q in narinfo: %w", ref, err)
	}
	if u.IsAbs() || u.Host != "" {
		return "", fmt.Errorf("URL %q in narinfo: expected a path within the cache, got an absolute URL, which only web servers support", ref)
	}
	key := strings.TrimPrefix(path.Clean("/"+u.Path), "/")
	if key == "" {
		return "", fmt.Errorf("URL %q in narinfo: expected the key of an object, got the root of the cache", ref)
	}
	return key, nil
}
