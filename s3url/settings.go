package s3url

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
)

// ValidateSettings returns an error for the first cache setting, in the order of
// names, that is unknown or malformed. It checks the queries of store URLs other
// than s3://; [Parse] checks URL.Rest itself.
func ValidateSettings(v url.Values) error {
	return conceal(fmt.Sprint(v), validateSettings(v))
}

func validateSettings(v url.Values) error {
	for _, name := range slices.Sorted(maps.Keys(v)) {
		p, err := lookup(name)
		if err != nil {
			return err
		}
		if !p.setting {
			return p.misplaced(name)
		}
		if err := p.bind(&URL{}).set(v.Get(name)); err != nil {
			return &parameterError{name, v.Get(name), err}
		}
	}
	return nil
}

// SettingsWarnings returns one sentence for each cache setting whose objects Nix
// cannot read. Since 2.34, Nix reads only encodings that its HTTP client decodes.
func SettingsWarnings(v url.Values) []string {
	var all []string
	for _, name := range []string{"narinfo-compression", "ls-compression", "log-compression"} {
		switch encoding := v.Get(name); encoding {
		case "", "none", "gzip", "br", "zstd":
		default:
			all = append(all, fmt.Sprintf("%s=%s: no Nix since 2.34 reads that Content-Encoding", name, encoding))
		}
	}
	return all
}

// ParseTransport splits the query of an http:// or https:// store URL into the
// transport's parameters and the cache settings. Both are checked.
func ParseTransport(v url.Values) (Transport, url.Values, error) {
	var u URL
	rest, err := split(v, &u, func(p *param) bool { return p.transport })
	if err == nil {
		err = u.Transport.validate()
	}
	if err != nil {
		return Transport{}, nil, err
	}
	return u.Transport, rest, nil
}

// ParseFile splits the query of the store URL of a directory into its parameter
// fsync, which is whether writes wait for stable storage, and the cache settings.
// Both are checked. A nil fsync means that the query has none.
func ParseFile(v url.Values) (fsync *bool, settings url.Values, err error) {
	var u URL
	rest, err := split(v, &u, func(p *param) bool { return p.file })
	return u.fsync, rest, err
}

// split sets the selected parameters in u and returns the others, which must be
// cache settings.
func split(v url.Values, u *URL, selects func(*param) bool) (url.Values, error) {
	rest := maps.Clone(v)
	for i := range params {
		p := &params[i]
		if !selects(p) || !v.Has(p.name) {
			continue
		}
		if err := p.bind(u).set(v.Get(p.name)); err != nil {
			return nil, conceal(fmt.Sprint(v), &parameterError{p.name, v.Get(p.name), err})
		}
		delete(rest, p.name)
	}
	return rest, ValidateSettings(rest)
}

// misplaced returns the error for a parameter that is not allowed in URLs of the
// scheme.
func (p *param) misplaced(given string) error {
	schemes := "s3://"
	switch {
	case p.file:
		schemes = "file://"
	case p.transport:
		schemes = "s3:// and http://"
	}
	return fmt.Errorf("%s is a parameter of %s URLs, not of this one", given, schemes)
}

// lookup returns the parameter with a name or alias.
func lookup(name string) (*param, error) {
	for i := range params {
		if p := &params[i]; name == p.name || name == p.alias && name != "" {
			return p, nil
		}
	}
	var known []string
	for i := range params {
		known = append(known, params[i].name)
		if params[i].alias != "" {
			known = append(known, params[i].alias)
		}
	}
	if near := nearest(name, known); near != "" {
		return nil, fmt.Errorf("unknown parameter %q; the nearest known one is %q", name, near)
	}
	return nil, fmt.Errorf("unknown parameter %q", name)
}

// nearest returns the word with the smallest edit distance to s, or "" if more
// than half of s differs. It compares only the first 64 bytes of s, whose length
// is not bounded.
func nearest(s string, words []string) string {
	s = s[:min(len(s), 64)]
	best, least := "", len(s)/2+1
	for _, word := range words {
		if d := distance(s, word); d < least {
			best, least = word, d
		}
	}
	return best
}

// distance returns the Levenshtein distance between a and b, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
