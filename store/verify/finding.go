package verify

import (
	"strings"

	"example.com/nixs3/narinfo/storepath"
)

// Kind is what is wrong with an object of a cache.
type Kind string

// The kinds of findings.
const (
	CacheInfoMissing Kind = "cache-info-missing"
	CacheInfoInvalid Kind = "cache-info-invalid"

	NarInfoMissing  Kind = "narinfo-missing"
	NarInfoInvalid  Kind = "narinfo-invalid"
	NarInfoMisnamed Kind = "narinfo-misnamed"

	ReferenceMissing    Kind = "reference-missing"
	ReferenceUndeclared Kind = "reference-undeclared"

	Untrusted             Kind = "untrusted"
	SignatureInvalid      Kind = "signature-invalid"
	ContentAddressInvalid Kind = "content-address-invalid"

	ArchiveMissing    Kind = "archive-missing"
	ArchiveSize       Kind = "archive-size"
	ArchiveChecksum   Kind = "archive-checksum"
	ArchiveFileHash   Kind = "archive-file-hash"
	ArchiveName       Kind = "archive-name"
	ArchiveUnreadable Kind = "archive-unreadable"
	ArchiveNarSize    Kind = "archive-nar-size"
	ArchiveNarHash    Kind = "archive-nar-hash"
	ArchiveContents   Kind = "archive-contents"
	ArchiveOrphaned   Kind = "archive-orphaned"

	ListingMissing  Kind = "listing-missing"
	ListingInvalid  Kind = "listing-invalid"
	ListingOrphaned Kind = "listing-orphaned"

	IndexInvalid Kind = "index-invalid"

	DebugInfoMissing Kind = "debuginfo-missing"
	DebugInfoInvalid Kind = "debuginfo-invalid"

	LogInvalid         Kind = "log-invalid"
	RealisationInvalid Kind = "realisation-invalid"

	WholeIndexInvalid Kind = "whole-index-invalid"
	UploadUnfinished  Kind = "upload-unfinished"
)

// Remedy is what mends a finding.
type Remedy string

// The remedies.
const (
	// Refetch takes the path from another cache or a local store, or hides it
	// with all that refer to it.
	Refetch Remedy = "refetch"

	// Rebuild makes the object anew from what the cache has.
	Rebuild Remedy = "rebuild"

	// Resign adds a signature or drops one, see [Sign].
	Resign Remedy = "sign"

	// Remove deletes the object, which no reader needs.
	Remove Remedy = "remove"
)

// facts are what is known of a kind.
type facts struct {
	depth  Depth
	remedy Remedy
	about  string
}

var kinds = map[Kind]facts{
	CacheInfoMissing: {Listing, Rebuild, "the cache does not describe itself"},
	CacheInfoInvalid: {Metadata, Rebuild, "nix-cache-info cannot be read or is for another store directory"},

	NarInfoMissing:  {Listing, Refetch, "a path that was asked for is not in the cache"},
	NarInfoInvalid:  {Listing, Refetch, "the narinfo cannot be read"},
	NarInfoMisnamed: {Listing, Refetch, "the narinfo is of another path than its key says"},

	ReferenceMissing:    {Metadata, Refetch, "a path that the path refers to is not in the cache"},
	ReferenceUndeclared: {Contents, Refetch, "the contents mention a path of the cache that the narinfo does not list"},

	Untrusted:             {Metadata, Resign, "no given key has signed the path, and its content address does not stand for it"},
	SignatureInvalid:      {Metadata, Resign, "a signature that carries the name of a given key does not verify by it"},
	ContentAddressInvalid: {Metadata, Refetch, "the content address does not make the path"},

	ArchiveMissing:    {Listing, Refetch, "the archive is not in the cache"},
	ArchiveSize:       {Listing, Refetch, "the archive does not have its FileSize"},
	ArchiveChecksum:   {Metadata, Refetch, "the checksum that the server stores is not the FileHash"},
	ArchiveFileHash:   {Files, Refetch, "the archive does not have its FileHash"},
	ArchiveName:       {Files, Refetch, "the archive does not have the hash in its name"},
	ArchiveUnreadable: {Contents, Refetch, "the archive cannot be decompressed or is not a NAR"},
	ArchiveNarSize:    {Contents, Refetch, "the archive does not have its NarSize"},
	ArchiveNarHash:    {Contents, Refetch, "the archive does not have its NarHash"},
	ArchiveContents:   {Contents, Refetch, "the contents do not have the hash of the content address"},
	ArchiveOrphaned:   {Listing, Remove, "no narinfo refers to the archive"},

	ListingMissing:  {Listing, Rebuild, "the path has no listing, though the cache has listings"},
	ListingInvalid:  {Contents, Rebuild, "the listing is not that of the archive"},
	ListingOrphaned: {Listing, Remove, "the listing is of a path that is not in the cache"},

	IndexInvalid: {Contents, Rebuild, "the index of the archive's pieces is not that of the archive"},

	DebugInfoMissing: {Contents, Rebuild, "a debug file has no link, though the cache has links"},
	DebugInfoInvalid: {Contents, Rebuild, "the link does not lead to the debug file with its build ID"},

	LogInvalid:         {Contents, Refetch, "the log cannot be decompressed"},
	RealisationInvalid: {Contents, Refetch, "the realisation cannot be read, or its path is not in the cache"},

	WholeIndexInvalid: {Contents, Remove, "the index of files or of paths cannot be read; nixs3 index makes a new one"},
	UploadUnfinished:  {Listing, Remove, "an upload was begun more than a day ago and not finished"},
}

// Depth returns the depth at which findings of the kind show.
func (k Kind) Depth() Depth { return kinds[k].depth }

// Remedy returns what mends findings of the kind.
func (k Kind) Remedy() Remedy { return kinds[k].remedy }

// Known reports whether k is one of the kinds above.
func (k Kind) Known() bool { _, ok := kinds[k]; return ok }

// String returns the kind's name.
func (k Kind) String() string { return string(k) }

// About returns what findings of the kind mean, in a few words.
func (k Kind) About() string { return kinds[k].about }

// Finding is a fault of a cache. As JSON it is one line.
type Finding struct {
	Kind Kind           `json:"kind"`
	Key  string         `json:"key"`           // of the object that is wrong or missing
	Path storepath.Path `json:"path,omitzero"` // that the object belongs to, zero where unknown
	Also storepath.Path `json:"also,omitzero"` // of ReferenceMissing and ReferenceUndeclared: the other path

	// Detail is what was expected and found, for people.
	Detail string `json:"detail,omitzero"`
}

// String returns the finding in one line.
func (f Finding) String() string {
	s := string(f.Kind) + " " + f.Key
	if !f.Path.IsZero() {
		s += " of " + f.Path.String()
	}
	s += ": " + f.Kind.About()
	if f.Detail != "" {
		s += ": " + f.Detail
	}
	return s
}

// UncheckedError is an object that could not be examined: the server did not
// answer, or denied access. Nothing is known of it.
type UncheckedError struct {
	Key string
	Err error
}

func (e *UncheckedError) Error() string {
	text := e.Err.Error()
	if strings.Contains(text, e.Key) {
		return "could not be checked: " + text
	}
	return e.Key + " could not be checked: " + text
}

// Unwrap returns the reason.
func (e *UncheckedError) Unwrap() error { return e.Err }
