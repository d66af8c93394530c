package s3url

import (
	"fmt"
	"net/url"
	"strings"
)

// ParseQuery decodes the query of any store URL as Nix does. Only percent signs
// are special, so a plus sign stands for itself, as in the name of a file. A
// parameter without a value is an error.
func ParseQuery(query string) (url.Values, error) {
	v := make(url.Values)
	err := eachPair(query, func(name, text string) error {
		v.Add(name, text)
		return nil
	})
	if err != nil {
		return nil, conceal(query, err)
	}
	return v, nil
}

// eachPair calls f for every name=value, in order and decoded, until f fails.
func eachPair(query string, f func(name, text string) error) error {
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		name, text, ok := strings.Cut(pair, "=")
		name, err := url.PathUnescape(name)
		if err != nil {
			return fmt.Errorf("parameter %q: %w", pair, err)
		}
		if !ok {
			return fmt.Errorf("parameter %q has no value, expected %s=value", name, name)
		}
		if text, err = url.PathUnescape(text); err != nil {
			return fmt.Errorf("parameter %q: %w", pair, err)
		}
		if err := f(name, text); err != nil {
			return err
		}
	}
	return nil
}

// escape percent-encodes all characters except for the unreserved ones of RFC
// 3986 and those in keep.
func escape(s, keep string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if isAlphanumeric(c) || strings.IndexByte("-._~", c) >= 0 || strings.IndexByte(keep, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
