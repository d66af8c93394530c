package narinfo

import (
	"errors"
	"fmt"
	"strconv"

	"example.com/nixs3/narinfo/storepath"
)

// JSONFormat is one of the forms of "nix path-info --json".
type JSONFormat uint8

const (
	JSONArray   JSONFormat = iota // an array with full paths: Nix up to 2.18, Lix
	JSONFormat1                   // an object by full paths
	JSONFormat2                   // base names, content addresses as objects
	JSONFormat3                   // as 2, signatures as objects
)

// AppendRecords appends the records to dst in a format, compact and in Nix's
// order of keys. Formats 2 and 3 name one store directory, so the records must
// be of one; where there are none it is [storepath.Default].
func AppendRecords(dst []byte, format JSONFormat, records ...*Record) ([]byte, error) {
	if format > JSONFormat3 {
		return dst, fmt.Errorf("path-info JSON: unknown format %d", format)
	}
	out := dst
	opening, closing := byte('{'), byte('}')
	if format == JSONArray {
		opening, closing = '[', ']'
	}
	dir := storepath.Default
	if format >= JSONFormat2 {
		if len(records) > 0 {
			dir = records[0].NarInfo.StoreDir
		}
		out = append(out, `{"info":`...)
	}
	out = append(out, opening)
	for i, r := range records {
		if i > 0 {
			out = append(out, ',')
		}
		text, err := r.appendJSON(out, format, dir)
		if err != nil {
			return dst, fmt.Errorf("path-info JSON: %w", err)
		}
		out = text
	}
	out = append(out, closing)
	if format >= JSONFormat2 {
		quoted, err := encodeJSON(dir)
		if err != nil {
			return dst, err
		}
		out = append(append(out, `,"storeDir":`...), quoted...)
		out = strconv.AppendUint(append(out, `,"version":`...), uint64(format), 10)
		out = append(out, '}')
	}
	return out, nil
}

func (r *Record) appendJSON(dst []byte, format JSONFormat, dir storepath.Dir) ([]byte, error) {
	n := &r.NarInfo
	if n.Path.IsZero() {
		return dst, errors.New("a record has no path")
	}
	if err := n.StoreDir.Check(); err != nil {
		return dst, fmt.Errorf("%v: %w", n.Path, err)
	}
	var entry any
	switch {
	case format == JSONArray:
		entry = r.array()
	case format >= JSONFormat2 && n.StoreDir != dir:
		return dst, fmt.Errorf("%v is of the store directory %q, another record of %q", n.Path, n.StoreDir, dir)
	case n.NarHash.IsZero():
		entry = nil
	default:
		entry = r.object(format)
	}
	if format != JSONArray {
		key, err := encodeJSON(format.path(n.StoreDir, n.Path))
		if err != nil {
			return dst, err
		}
		dst = append(append(dst, key...), ':')
	}
	text, err := encodeJSON(entry)
	return append(dst, text...), err
}

// path returns a path as the format has it.
func (f JSONFormat) path(dir storepath.Dir, p storepath.Path) string {
	if f >= JSONFormat2 {
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

// optional returns nil, which becomes null, for a zero value.
func optional[T comparable](value T) *T {
	var zero T
	if value == zero {
		return nil
	}
	return &value
}

// arrayEntry is an entry of JSONArray: what is unknown is left out.
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
		References:          JSONArray.references(&n.PathInfo),
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

// objectEntry is an entry of formats 1 to 3: what is unknown is null, except
// for what only binary caches know.
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
			objects: format == JSONFormat3,
		},
		StoreDir: n.StoreDir,
		Ultimate: r.Ultimate,
		URL:      n.URL,
		Version:  format,
	}
	if !n.CA.IsZero() {
		entry.CA = n.CA.String()
		if format >= JSONFormat2 {
			entry.CA = contentAddressObject{hashJSON{n.CA.Hash}, n.CA.Method.String()}
		}
	}
	if !n.Deriver.IsZero() {
		entry.Deriver = new(format.path(n.StoreDir, n.Deriver))
	}
	return entry
}
