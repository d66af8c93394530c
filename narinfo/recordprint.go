package narinfo

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
)

// JSONFormat is a format of the output of "nix path-info --json", by the number
// that --json-format takes:
//
//	0  an array with full paths: Nix up to 2.18, and Lix, which have no number
//	1  an object by full paths
//	2  an object by base names, with content addresses as objects
//	3  as 2, with signatures as objects
type JSONFormat uint8

// jsonArray is format 0.
const jsonArray JSONFormat = 0

// AppendRecords appends the records to dst in a format, compact and in Nix's
// order: the array in the order of the records, the objects sorted by path. It
// fails, and returns dst unchanged, if [ParseRecords] or Nix could not read a
// record, or if two records in the objects have the same path.
//
// In formats 2 and 3 all records must be of one store directory. Without
// records, the directory is [storepath.Default]. The array omits Compression, as
// Nix 2.8 does. Every format omits NarInfo.Extra.
func AppendRecords(dst []byte, format JSONFormat, records ...*Record) ([]byte, error) {
	text, err := encodeRecords(format, records)
	if err != nil {
		return dst, fmt.Errorf("path-info JSON: %w", err)
	}
	return append(dst, text...), nil
}

func encodeRecords(format JSONFormat, records []*Record) ([]byte, error) {
	for _, r := range records {
		if err := r.check(); err != nil {
			return nil, err
		}
	}
	switch format {
	case jsonArray:
		entries := make([]any, len(records))
		for i, r := range records {
			entries[i] = r.array()
		}
		return encodeJSON(entries)
	case 1:
		entries, err := format.entries(records)
		if err != nil {
			return nil, err
		}
		return encodeJSON(entries)
	case 2, maxJSONFormat:
		dir, err := commonDir(records)
		if err != nil {
			return nil, err
		}
		entries, err := format.entries(records)
		if err != nil {
			return nil, err
		}
		return encodeJSON(struct {
			Info     map[string]any `json:"info"`
			StoreDir storepath.Dir  `json:"storeDir"`
			Version  JSONFormat     `json:"version"`
		}{entries, dir, format})
	}
	return nil, fmt.Errorf("unknown format %d, expected at most %d", format, maxJSONFormat)
}

// commonDir returns the one store directory of the records.
func commonDir(records []*Record) (storepath.Dir, error) {
	if len(records) == 0 {
		return storepath.Default, nil
	}
	dir := records[0].NarInfo.StoreDir
	for _, r := range records {
		if n := &r.NarInfo; n.StoreDir != dir {
			return "", fmt.Errorf("%v is of the store directory %q, another record of %q", n.Path, n.StoreDir, dir)
		}
	}
	return dir, nil
}

// entries returns the objects by path. A map is encoded sorted by the bytes of
// its keys, as in Nix.
func (f JSONFormat) entries(records []*Record) (map[string]any, error) {
	entries := make(map[string]any, len(records))
	for _, r := range records {
		key := f.path(r.NarInfo.StoreDir, r.NarInfo.Path)
		if _, ok := entries[key]; ok {
			return nil, fmt.Errorf("there are two records of %s, expected one", key)
		}
		entries[key] = nil // the store does not have it
		if !r.NarInfo.NarHash.IsZero() {
			entries[key] = r.object(f)
		}
	}
	return entries, nil
}

// check returns an error if ParseRecords would not read r unchanged.
func (r *Record) check() error {
	n := &r.NarInfo
	if n.Path.IsZero() {
		return errors.New("a record has no path")
	}
	err := n.StoreDir.Validate()
	switch {
	case err != nil:
	case n.NarHash.IsZero():
		err = r.checkPathAlone()
	default:
		err = r.checkFields()
	}
	if err == nil {
		err = r.checkTexts()
	}
	if err != nil {
		return fmt.Errorf("record of %v: %w", n.Path, err)
	}
	return nil
}

// checkPathAlone returns an error if r has more than a path: without NarHash,
// nothing else is written.
func (r *Record) checkPathAlone() error {
	path := NarInfo{PathInfo: PathInfo{StoreDir: r.NarInfo.StoreDir, Path: r.NarInfo.Path}}
	if r.NarInfo.Equal(&path) && !r.Ultimate && r.RegistrationTime == 0 && r.ClosureSize == 0 && r.ClosureDownloadSize == 0 {
		return nil
	}
	return errors.New("NarHash is missing, expected it or the path alone")
}

func (r *Record) checkFields() error {
	n := &r.NarInfo
	if a := n.NarHash.Algorithm(); a != nixhash.SHA256 {
		return fmt.Errorf("NarHash is of %v, expected sha256", a)
	}
	for _, size := range []struct {
		name  string
		bytes int64
	}{
		{"NarSize", n.NarSize}, {"FileSize", n.FileSize},
		{"ClosureSize", r.ClosureSize}, {"ClosureDownloadSize", r.ClosureDownloadSize},
	} {
		if size.bytes < 0 {
			return fmt.Errorf("%s is %d, expected at least 0", size.name, size.bytes)
		}
	}
	if i := slices.IndexFunc(n.References, storepath.Path.IsZero); i >= 0 {
		return fmt.Errorf("reference %d is the zero path", i)
	}
	if err := checkSignatureList(n.Signatures); err != nil {
		return err
	}
	if n.CA.IsZero() {
		return nil
	}
	return n.CA.Validate()
}

// checkTexts returns an error for texts that are not UTF-8, which JSON cannot
// represent.
func (r *Record) checkTexts() error {
	n := &r.NarInfo
	for _, field := range []struct{ name, text string }{
		{fieldStoreDir, string(n.StoreDir)}, {fieldURL, n.URL}, {fieldCompression, string(n.Compression)},
	} {
		if !utf8.ValidString(field.text) {
			return fmt.Errorf("%s %q is not valid UTF-8", field.name, clip(field.text))
		}
	}
	return nil
}

// path returns the form of a path in the format.
func (f JSONFormat) path(dir storepath.Dir, p storepath.Path) string {
	if f >= 2 {
		return p.String()
	}
	return dir.Join(p)
}

func (f JSONFormat) references(p *PathInfo) []string {
	refs := []string{}
	for _, ref := range p.sortedReferences() {
		refs = append(refs, f.path(p.StoreDir, ref))
	}
	return refs
}

// optional returns nil, which is encoded as null, for a zero value.
func optional[T comparable](value T) *T {
	var zero T
	if value == zero {
		return nil
	}
	return &value
}

// arrayEntry is an entry of the array, which omits unknown fields.
type arrayEntry struct {
	Path                string        `json:"path"`
	NarHash             hashJSON      `json:"narHash"`
	NarSize             int64         `json:"narSize"`
	References          []string      `json:"references"`
	CA                  string        `json:"ca,omitzero"`
	ClosureSize         int64         `json:"closureSize,omitzero"`
	Deriver             string        `json:"deriver,omitzero"`
	RegistrationTime    int64         `json:"registrationTime,omitzero"`
	Ultimate            bool          `json:"ultimate,omitzero"`
	Signatures          signatureList `json:"signatures,omitzero"`
	URL                 string        `json:"url,omitzero"`
	DownloadHash        *hashJSON     `json:"downloadHash,omitzero"`
	DownloadSize        int64         `json:"downloadSize,omitzero"`
	ClosureDownloadSize int64         `json:"closureDownloadSize,omitzero"`
}

func (r *Record) array() any {
	n := &r.NarInfo
	if n.NarHash.IsZero() {
		return struct {
			Path  string `json:"path"`
			Valid bool   `json:"valid"`
		}{n.StoreDir.Join(n.Path), false}
	}
	entry := arrayEntry{
		Path:                n.StoreDir.Join(n.Path),
		NarHash:             hashJSON{n.NarHash},
		NarSize:             n.NarSize,
		References:          jsonArray.references(&n.PathInfo),
		CA:                  n.CA.String(),
		ClosureSize:         r.ClosureSize,
		RegistrationTime:    r.RegistrationTime,
		Ultimate:            r.Ultimate,
		URL:                 n.URL,
		DownloadHash:        optional(hashJSON{n.FileHash}),
		DownloadSize:        n.FileSize,
		ClosureDownloadSize: r.ClosureDownloadSize,
	}
	if !n.Deriver.IsZero() {
		entry.Deriver = n.StoreDir.Join(n.Deriver)
	}
	if len(n.Signatures) > 0 {
		entry.Signatures.list = inNixOrder(n.Signatures)
	}
	return entry
}

// objectEntry is an entry of formats 1 to 3. Unknown fields are null, except for
// those of binary caches, which are omitted.
type objectEntry struct {
	CA                  any           `json:"ca"`
	ClosureDownloadSize int64         `json:"closureDownloadSize,omitzero"`
	ClosureSize         int64         `json:"closureSize,omitzero"`
	Compression         Compression   `json:"compression,omitzero"`
	Deriver             *string       `json:"deriver"`
	DownloadHash        *hashJSON     `json:"downloadHash,omitzero"`
	DownloadSize        int64         `json:"downloadSize,omitzero"`
	NarHash             hashJSON      `json:"narHash"`
	NarSize             int64         `json:"narSize"`
	References          []string      `json:"references"`
	RegistrationTime    *int64        `json:"registrationTime"`
	Signatures          signatureList `json:"signatures"`
	StoreDir            storepath.Dir `json:"storeDir"`
	Ultimate            bool          `json:"ultimate"`
	URL                 string        `json:"url,omitzero"`
	Version             JSONFormat    `json:"version"`
}

func (r *Record) object(format JSONFormat) any {
	n := &r.NarInfo
	entry := objectEntry{
		ClosureDownloadSize: r.ClosureDownloadSize,
		ClosureSize:         r.ClosureSize,
		Compression:         n.Compression,
		DownloadHash:        optional(hashJSON{n.FileHash}),
		DownloadSize:        n.FileSize,
		NarHash:             hashJSON{n.NarHash},
		NarSize:             n.NarSize,
		References:          format.references(&n.PathInfo),
		RegistrationTime:    optional(r.RegistrationTime),
		Signatures: signatureList{
			list:    append([]Signature{}, inNixOrder(n.Signatures)...),
			objects: format >= 3,
		},
		StoreDir: n.StoreDir,
		Ultimate: r.Ultimate,
		URL:      n.URL,
		Version:  format,
	}
	if !n.CA.IsZero() {
		entry.CA = n.CA.String()
		if format >= 2 {
			entry.CA = contentAddressObject{hashJSON{n.CA.Hash}, n.CA.Method.String()}
		}
	}
	if !n.Deriver.IsZero() {
		entry.Deriver = new(format.path(n.StoreDir, n.Deriver))
	}
	return entry
}
