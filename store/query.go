package store

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/s3url"
)

// SettingsFromQuery reads the settings in the query of a store URL: those of
// Nix's manual ("S3 Binary Cache Store"), and the extensions of package s3url.
// Unknown and malformed settings are errors. system-features has no effect here:
// Nix uses it to choose where to build. It reads key files.
func SettingsFromQuery(q url.Values) (Settings, error) {
	var s Settings
	if err := s3url.ValidateSettings(q); err != nil {
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
	s.Presence = p.str("presence")
	s.Priority = p.optionalNumber("priority")
	s.WantMassQuery = p.optionalBool("want-mass-query")
	s.Trusted = p.bool("trusted")
	s.PathInfoCacheSize = p.number("path-info-cache-size")
	s.Budget.Transfers = p.number("transfers")
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

// queryParser reads typed values from a query. The first value of a key counts.
// ValidateSettings has accepted the values before, so err is set only where the two
// disagree.
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
	return new(slices.Contains([]string{"true", "yes", "1"}, p.q.Get(key))) // ValidateSettings has checked it
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
