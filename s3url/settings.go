package s3url

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
)

// CheckSettings reports the first cache setting, in the order of names, that
// is unknown or malformed. It is for the query of store URLs other than s3://;
// [Parse] has checked URL.Rest already.
func CheckSettings(v url.Values) error {
	for _, name := range slices.Sorted(maps.Keys(v)) {
		p, err := lookup(name)
		if err != nil {
			return err
		}
		if !p.setting {
			return fmt.Errorf("%s is a parameter of %s URLs, not of this one", name, p.schemes())
		}
		if err := p.bind(&URL{}).set(v.Get(name)); err != nil {
			return fmt.Errorf("%s=%s: %w", name, v.Get(name), err)
		}
	}
	return nil
}

// ParseTransport splits the query of an http:// or https:// store URL into the
// transport's parameters and the cache settings. Both are checked.
func ParseTransport(v url.Values) (Transport, url.Values, error) {
	var u URL
	rest := maps.Clone(v)
	for i := range params {
		p := &params[i]
		if !p.transport || !v.Has(p.name) {
			continue
		}
		if err := p.bind(&u).set(v.Get(p.name)); err != nil {
			return Transport{}, nil, fmt.Errorf("%s=%s: %w", p.name, v.Get(p.name), err)
		}
		delete(rest, p.name)
	}
	if err := u.Transport.validate(); err != nil {
		return Transport{}, nil, err
	}
	if err := CheckSettings(rest); err != nil {
		return Transport{}, nil, err
	}
	return u.Transport, rest, nil
}

func (p *param) schemes() string {
	if p.transport {
		return "s3:// and http://"
	}
	return "s3://"
}

// lookup finds a parameter by its name or alias.
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

// nearest returns the word with the smallest edit distance to s, if at most
// half of s has to be edited. Only the first bytes of s count: it comes from
// outside and may be of any length.
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

// distance is the Levenshtein distance between a and b, in bytes.
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
