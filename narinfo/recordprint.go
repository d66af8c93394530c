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
			dir = records[0].StoreDir
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
	if r.Path.IsZero() {
		return dst, errors.New("a record has no path")
	}
	if err := r.StoreDir.Check(); err != nil {
		return dst, fmt.Errorf("%v: %w", r.Path, err)
	}
	var entry any
	switch {
	case format == JSONArray:
		entry = r.array()
	case format >= JSONFormat2 && r.StoreDir != dir:
		return dst, fmt.Errorf("%v is of the store directory %q, another record of %q", r.Path, r.StoreDir, dir)
	case r.NarHash.IsZero():
		entry = nil
	default:
		entry = r.object(format)
	}
	if format != JSONArray {
		key, err := encodeJSON(r.path(r.Path, format))
		if err != nil {
			return dst, err
		}
		dst = append(append(dst, key...), ':')
	}
	text, err := encodeJSON(entry)
	return append(dst, text...), err
}

// path returns p as the format has it.
func (r *Record) path(p storepath.Path, format JSONFormat) string {
	if format >= JSONFormat2 {
		return p.String()
	}
	return r.StoreDir.Join(p)
}

func (r *Record) references(format JSONFormat) []string {
	refs := []string{}
	for _, ref := range r.sortedReferences() {
		refs = append(refs, r.path(ref, format))
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
	if r.NarHash.IsZero() {
		return struct {
			Path  string `json:"path"`
			Valid bool   `json:"valid"`
		}{r.StoreDir.Join(r.Path), false}
	}
	entry := arrayEntry{
		Path:                r.StoreDir.Join(r.Path),
		NarHash:             hashJSON{r.NarHash},
		NarSize:             r.NarSize,
		References:          r.references(JSONArray),
		CA:                  r.CA.String(),
		ClosureSize:         r.ClosureSize,
		RegistrationTime:    r.RegistrationTime,
		Ultimate:            r.Ultimate,
		URL:                 r.URL,
		DownloadHash:        optional(hashJSON{r.FileHash}),
		DownloadSize:        r.FileSize,
		ClosureDownloadSize: r.ClosureDownloadSize,
	}
	if !r.Deriver.IsZero() {
		entry.Deriver = r.StoreDir.Join(r.Deriver)
	}
	if len(r.Signatures) > 0 {
		entry.Signatures.list = inNixOrder(r.Signatures)
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
	entry := objectEntry{
		ClosureDownloadSize: r.ClosureDownloadSize,
		ClosureSize:         r.ClosureSize,
		Compression:         r.Compression,
		DownloadHash:        optional(hashJSON{r.FileHash}),
		DownloadSize:        r.FileSize,
		NarHash:             hashJSON{r.NarHash},
		NarSize:             r.NarSize,
		References:          r.references(format),
		RegistrationTime:    optional(r.RegistrationTime),
		Signatures: signatureList{
			list:    append([]Signature{}, inNixOrder(r.Signatures)...),
			objects: format == JSONFormat3,
		},
		StoreDir: r.StoreDir,
		Ultimate: r.Ultimate,
		URL:      r.URL,
		Version:  format,
	}
	if !r.CA.IsZero() {
		entry.CA = r.CA.String()
		if format >= JSONFormat2 {
			entry.CA = contentAddressObject{hashJSON{r.CA.Hash}, r.CA.Method.String()}
		}
	}
	if !r.Deriver.IsZero() {
		entry.Deriver = new(r.path(r.Deriver, format))
	}
	return entry
}
