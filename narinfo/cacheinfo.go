package narinfo

import (
	"fmt"
	"strconv"
	"strings"

	"example.com/nixs3/narinfo/storepath"
)

// CacheInfo is the description of a binary cache in its object nix-cache-info.
// In the zero value no field is present.
type CacheInfo struct {
	StoreDir      storepath.Dir // of every path in the cache, "" if absent
	WantMassQuery *bool         // whether clients may query many paths at a time, nil if absent
	Priority      *int          // clients query caches of a lower number first; nil if absent
	Extra         []Field       // other lines
}

const (
	kindCacheInfo = "nix-cache-info"

	// maxCacheInfo bounds the text, maxCacheInfoExtra its unknown lines.
	maxCacheInfo      = 64 << 10
	maxCacheInfoExtra = 256

	fieldStoreDir      = "StoreDir"
	fieldWantMassQuery = "WantMassQuery"
	fieldPriority      = "Priority"
)

var cacheInfoFields = []string{fieldStoreDir, fieldWantMassQuery, fieldPriority}

// ParseCacheInfo reads a nix-cache-info of at most 64 KiB with at most 256
// unknown fields. Like Nix, it ignores white space around values and lines
// without a colon, takes the last of repeated fields, refuses a second StoreDir
// that differs, and reads a Priority of 32 bits up to the first character that
// is not a digit. Every error is a [*ParseError].
func ParseCacheInfo(data []byte) (*CacheInfo, error) {
	if len(data) > maxCacheInfo {
		return nil, &ParseError{Kind: kindCacheInfo, Err: fmt.Errorf("%d bytes, at most %d are read", len(data), maxCacheInfo)}
	}
	c := new(CacheInfo)
	number, moved := 0, 0
	for line := range strings.SplitSeq(string(data), "\n") {
		number++
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		value = strings.TrimSpace(value)
		known, err := c.set(name, value)
		if err != nil {
			return nil, &ParseError{kindCacheInfo, number, name, err}
		}
		if known {
			for ; moved < len(c.Extra); moved++ {
				c.Extra[moved].Before = name
			}
			continue
		}
		if len(c.Extra) >= maxCacheInfoExtra {
			return nil, &ParseError{kindCacheInfo, number, clip(name), fmt.Errorf("more than %d unknown fields", maxCacheInfoExtra)}
		}
		c.Extra = append(c.Extra, Field{Name: name, Value: value})
	}
	return c, nil
}

// set sets a known field.
func (c *CacheInfo) set(name, value string) (known bool, err error) {
	switch name {
	case fieldStoreDir:
		// Nix compares every one with its own.
		if dir := storepath.Dir(value); c.StoreDir != "" && c.StoreDir != dir {
			return true, fmt.Errorf("expected %s as before, got %q", c.StoreDir, clip(value))
		}
		c.StoreDir = storepath.Dir(value)
		return true, c.StoreDir.Validate()
	case fieldWantMassQuery:
		c.WantMassQuery = new(value == "1")
		return true, nil
	case fieldPriority:
		n, err := strconv.ParseInt(leadingNumber(value), 10, 32)
		if err != nil {
			return true, fmt.Errorf("%q is not a number", clip(value))
		}
		c.Priority = new(int(n))
		return true, nil
	}
	return false, nil
}

// leadingNumber returns the sign and the digits that a text begins with, which
// are all that Nix reads of a Priority.
func leadingNumber(s string) string {
	end := 0
	for end < len(s) && (s[end] >= '0' && s[end] <= '9' || end == 0 && (s[0] == '-' || s[0] == '+')) {
		end++
	}
	return s[:end]
}

// MarshalText implements encoding.TextMarshaler. See [CacheInfo.AppendText].
func (c *CacheInfo) MarshalText() ([]byte, error) { return c.AppendText(nil) }

// AppendText implements encoding.TextAppender. It writes the fields that are
// present, in Nix's order. It fails, and returns dst unchanged, if
// [ParseCacheInfo] would not read the same from the text.
func (c *CacheInfo) AppendText(dst []byte) ([]byte, error) {
	if err := c.checkWritable(); err != nil {
		return dst, fmt.Errorf("nix-cache-info: %w", err)
	}
	out := c.appendLines(dst)
	if n := len(out) - len(dst); n > maxCacheInfo {
		return dst, fmt.Errorf("nix-cache-info: %d bytes, at most %d are read", n, maxCacheInfo)
	}
	return out, nil
}

// checkWritable returns an error for a field that would change when it is read.
func (c *CacheInfo) checkWritable() error {
	if c.StoreDir != "" {
		if err := c.StoreDir.Validate(); err != nil {
			return err
		}
		if err := checkTrimmed(fieldStoreDir, string(c.StoreDir)); err != nil {
			return err
		}
	}
	if len(c.Extra) > maxCacheInfoExtra {
		return fmt.Errorf("%d unknown fields, at most %d are read", len(c.Extra), maxCacheInfoExtra)
	}
	for _, field := range c.Extra {
		if err := field.check(cacheInfoFields); err != nil {
			return err
		}
		if err := checkTrimmed(field.Name, field.Value); err != nil {
			return err
		}
	}
	return nil
}

// checkTrimmed returns an error for a value from which readers would trim white
// space.
func checkTrimmed(name, value string) error {
	if strings.TrimSpace(value) != value {
		return fmt.Errorf("%s: %q begins or ends with white space, which readers drop", clip(name), clip(value))
	}
	return nil
}

func (c *CacheInfo) appendLines(dst []byte) []byte {
	extra := extraLines(c.Extra)
	dst = extra.before(dst, fieldStoreDir)
	if c.StoreDir != "" {
		dst = append(append(append(dst, fieldStoreDir+": "...), c.StoreDir...), '\n')
	}
	dst = extra.before(dst, fieldWantMassQuery)
	if c.WantMassQuery != nil {
		digit := byte('0')
		if *c.WantMassQuery {
			digit = '1'
		}
		dst = append(append(dst, fieldWantMassQuery+": "...), digit, '\n')
	}
	dst = extra.before(dst, fieldPriority)
	if c.Priority != nil {
		dst = append(strconv.AppendInt(append(dst, fieldPriority+": "...), int64(*c.Priority), 10), '\n')
	}
	return extra.before(dst, "")
}

// UnmarshalText implements encoding.TextUnmarshaler: [ParseCacheInfo].
func (c *CacheInfo) UnmarshalText(text []byte) error {
	parsed, err := ParseCacheInfo(text)
	if err != nil {
		return err
	}
	*c = *parsed
	return nil
}
