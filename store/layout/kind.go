package layout

import (
	"strings"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
)

// Kind is what an object of a binary cache holds.
type Kind uint8

// The kinds of objects. Other is every object that Nix and nixs3 do not know.
const (
	Other Kind = iota
	CacheInfo
	NarInfo
	Archive
	Listing
	Index
	Log
	DebugInfo
	Realisation
	Control
)

// kinds holds the facts of each kind. limit is in bytes after decoding; encoding
// is the store URL's parameter that sets the Content-Encoding.
var kinds = [...]struct {
	name, contentType, encoding string
	limit                       int64
}{
	Other:       {name: "other"},
	CacheInfo:   {name: "cache-info", contentType: "text/x-nix-cache-info", limit: 64 << 10},
	NarInfo:     {name: "narinfo", contentType: "text/x-nix-narinfo", encoding: "narinfo-compression", limit: 4 << 20},
	Archive:     {name: "nar", contentType: "application/x-nix-nar"},
	Listing:     {name: "listing", contentType: "application/json", encoding: "ls-compression", limit: 256 << 20},
	Index:       {name: "index", contentType: "application/octet-stream", limit: 64 << 20},
	Log:         {name: "log", contentType: "text/plain; charset=utf-8", encoding: "log-compression"},
	DebugInfo:   {name: "debuginfo", contentType: "application/json", limit: 64 << 10},
	Realisation: {name: "realisation", contentType: "application/json", limit: 1 << 20},
	Control:     {name: "control", contentType: "application/json", limit: 1 << 30},
}

// String returns the kind's name, such as "narinfo".
func (k Kind) String() string { return kinds[k].name }

// ContentType returns the media type with which objects of the kind are
// stored, "" for Other.
func (k Kind) ContentType() string { return kinds[k].contentType }

// Limit returns the size in bytes, after decoding, above which readers refuse
// an object of the kind and writers do not write one. 0 means no limit: the
// narinfo bounds an archive, and logs are streamed.
func (k Kind) Limit() int64 { return kinds[k].limit }

// EncodingParameter returns the parameter of a store URL that sets the
// Content-Encoding of the kind's objects, "" where they never have one.
func (k Kind) EncodingParameter() string { return kinds[k].encoding }

// folders are the prefixes that hold one kind each.
var folders = [...]struct {
	prefix string
	kind   Kind
	valid  func(name string) bool
}{
	{ArchivePrefix, Archive, validArchive},
	{LogPrefix, Log, validLog},
	{DebugInfoPrefix, DebugInfo, validDebugInfo},
	{realisationPrefix, Realisation, nil},
	{buildTracePrefix, Realisation, nil},
	{ControlPrefix, Control, validRelative},
}

// KindOf returns the kind of the object with a key. A key that looks like one
// of a kind but could not have been made for it, such as a narinfo whose name
// is not a hash part, is Other.
func KindOf(key string) Kind {
	if key == CacheInfoKey {
		return CacheInfo
	}
	if !strings.Contains(key, "/") {
		if _, ok := ParseNarInfoKey(key); ok {
			return NarInfo
		}
		if _, ok := ParseListingKey(key); ok {
			return Listing
		}
		return Other
	}
	for _, f := range folders {
		name, ok := strings.CutPrefix(key, f.prefix)
		switch {
		case !ok:
			continue
		case f.kind == Realisation:
			if _, err := narinfo.ParseRealisationKey(key); err != nil {
				return Other
			}
		case !f.valid(name):
			return Other
		case f.kind == Archive && strings.HasSuffix(name, indexSuffix):
			return Index
		}
		return f.kind
	}
	return Other
}

// KindOfPrefix returns the kind of all objects whose key begins with a prefix,
// Other where they may be of several kinds.
func KindOfPrefix(prefix string) Kind {
	for _, f := range folders {
		if strings.HasPrefix(prefix, f.prefix) {
			return f.kind
		}
	}
	return Other
}

// An archive's name is whatever a narinfo's URL says, so any path below nar/
// may be one.
func validArchive(name string) bool { return validRelative(name) }

func validLog(name string) bool {
	_, err := storepath.ParseBase(name)
	return err == nil
}

// validDebugInfo accepts the 40 digits with .debug that Nix writes, and build
// IDs of 3 to 64 bytes without it, which Hydra and dwarffs use.
func validDebugInfo(name string) bool {
	id, _ := strings.CutSuffix(name, debugInfoSuffix)
	return len(id)%2 == 0 && 6 <= len(id) && len(id) <= 128 && strings.Trim(id, "0123456789abcdef") == ""
}

// validRelative accepts slash-separated names that no server or file system
// takes for another key.
func validRelative(name string) bool {
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part == "." || part == ".." {
			return false
		}
	}
	return !strings.ContainsAny(name, "\x00\\")
}
