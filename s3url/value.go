package s3url

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// value is a field of a URL as text. "" stands for the field's zero value.
type value interface {
	set(s string) error
	String() string
}

// check returns an error for a text that is not valid. The text is not "".
type check func(s string) error

type text struct {
	p     *string
	check check
}

func (v text) String() string { return *v.p }

func (v text) set(s string) error {
	if s != "" {
		if err := v.check(s); err != nil {
			return err
		}
	}
	*v.p = s
	return nil
}

type boolean struct{ p *bool }

func (v boolean) String() string {
	if *v.p {
		return "true"
	}
	return ""
}

func (v boolean) set(s string) (err error) {
	*v.p, err = parseBool(s)
	return err
}

type optionalBool struct{ p **bool }

func (v optionalBool) String() string {
	if *v.p == nil {
		return ""
	}
	return strconv.FormatBool(**v.p)
}

func (v optionalBool) set(s string) error {
	b, err := parseBool(s)
	*v.p = &b
	return err
}

// number is an integer between min and max. The text "0" sets the field to zero,
// a value with the same meaning, since 0 stands for an absent value.
type number[T int | int64] struct {
	p              *T
	zero, min, max T
}

func (v number[T]) String() string {
	if *v.p == 0 {
		return ""
	}
	return strconv.FormatInt(int64(*v.p), 10)
}

func (v number[T]) set(s string) error {
	n, err := parseInteger(s, 0, int64(v.max))
	if err != nil {
		return err
	}
	if n == 0 {
		n = int64(v.zero)
	}
	if n < int64(v.min) {
		return fmt.Errorf("expected at least %d", v.min)
	}
	*v.p = T(n)
	return nil
}

type milliseconds struct{ p **time.Duration }

func (v milliseconds) String() string {
	if *v.p == nil {
		return ""
	}
	return strconv.FormatInt((*v.p).Milliseconds(), 10)
}

func (v milliseconds) set(s string) error {
	n, err := parseInteger(s, 0, 1<<31-1)
	d := time.Duration(n) * time.Millisecond
	*v.p = &d
	return err
}

// restValue is a cache setting, which is kept as text.
type restValue struct {
	u     *URL
	name  string
	check check
}

func (v restValue) String() string { return v.u.Rest.Get(v.name) }

func (v restValue) set(s string) error {
	if s == "" {
		return nil
	}
	if err := v.check(s); err != nil {
		return err
	}
	if v.u.Rest == nil {
		v.u.Rest = make(url.Values)
	}
	v.u.Rest.Set(v.name, s)
	return nil
}

// tokens is a list of words, separated by commas.
type tokens struct{ p *[]string }

func (v tokens) String() string { return strings.Join(*v.p, ",") }

func (v tokens) set(s string) error {
	*v.p = nil
	for word := range strings.SplitSeq(s, ",") {
		if word = strings.TrimSpace(word); word == "" {
			continue
		}
		if err := isToken(word); err != nil {
			return err
		}
		*v.p = append(*v.p, word)
	}
	return nil
}

// tags are object tags: name=value, separated by commas. S3 allows at most ten
// tags, and no commas in them. An equals sign can only be part of a value here.
type tags struct{ p *map[string]string }

func (v tags) String() string {
	pairs := make([]string, 0, len(*v.p))
	for _, name := range slices.Sorted(maps.Keys(*v.p)) {
		pairs = append(pairs, name+"="+(*v.p)[name])
	}
	return strings.Join(pairs, ",")
}

func (v tags) set(s string) error {
	if s == "" {
		*v.p = nil
		return nil
	}
	all := make(map[string]string)
	for pair := range strings.SplitSeq(s, ",") {
		name, text, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return fmt.Errorf("tag %q: expected name=value[,name=value…]", pair)
		}
		if err := isTag(name, 128); err != nil {
			return fmt.Errorf("name of tag %q: %w", name, err)
		}
		if err := isTag(text, 256); err != nil {
			return fmt.Errorf("value of tag %q: %w", name, err)
		}
		if _, ok := all[name]; ok {
			return fmt.Errorf("tag %q is given twice", name)
		}
		all[name] = text
	}
	if len(all) > 10 {
		return fmt.Errorf("%d tags: S3 allows 10", len(all))
	}
	*v.p = all
	return nil
}

func isTag(s string, limit int) error {
	if utf8.RuneCountInString(s) > limit {
		return fmt.Errorf("expected at most %d characters", limit)
	}
	for _, r := range s {
		if !unicode.IsLetter(r) && !unicode.IsNumber(r) && !strings.ContainsRune(" _.:/=+-@", r) {
			return fmt.Errorf("%q is not allowed: expected letters, digits, spaces and _ . : / = + - @", r)
		}
	}
	return nil
}

// parseBool reads a boolean as Nix does: true, yes or 1, and false, no or 0.
func parseBool(s string) (bool, error) {
	switch s {
	case "true", "yes", "1":
		return true, nil
	case "false", "no", "0":
		return false, nil
	}
	return false, errors.New("expected true, yes, 1, false, no or 0")
}

// parseInteger reads a number, which may have one of Nix's unit suffixes K, M, G
// and T. They stand for powers of 1024.
func parseInteger(s string, low, high int64) (int64, error) {
	outside := fmt.Errorf("expected a number from %d to %d", low, high)
	digits, unit := s, int64(1)
	if s != "" {
		if i := strings.IndexByte("KMGT", s[len(s)-1]&^0x20); i >= 0 {
			digits, unit = s[:len(s)-1], 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, fmt.Errorf("not an integer; %w", outside)
	}
	if err != nil || n > high/unit || n < low/unit {
		return 0, outside
	}
	return n * unit, nil
}

func isBool(s string) error {
	_, err := parseBool(s)
	return err
}

func isInteger(low, high int64) check {
	return func(s string) error {
		_, err := parseInteger(s, low, high)
		return err
	}
}

func isAbsolute(s string) error {
	if !strings.HasPrefix(s, "/") {
		return errors.New("expected an absolute path")
	}
	return line(4096)(s)
}

// isToken accepts a word that can be part of a header or a list.
func isToken(s string) error {
	for i := range len(s) {
		if !isAlphanumeric(s[i]) && strings.IndexByte("-._", s[i]) < 0 {
			return fmt.Errorf("%q is not allowed: expected letters, digits and - . _", s[i])
		}
	}
	return line(256)(s)
}

// isRegion accepts a text that can be one label of a host name, since it becomes
// one.
func isRegion(s string) error {
	for i := range len(s) {
		if !isAlphanumeric(s[i]) && s[i] != '-' && s[i] != '_' {
			return fmt.Errorf("%q is not allowed in the name of a region", s[i])
		}
	}
	return line(63)(s)
}

// line accepts a text of at most limit bytes without control characters.
func line(limit int) check {
	return func(s string) error {
		if len(s) > limit {
			return fmt.Errorf("longer than %d bytes", limit)
		}
		if !utf8.ValidString(s) {
			return errors.New("not valid UTF-8")
		}
		if strings.ContainsFunc(s, unicode.IsControl) {
			return errors.New("control characters are not allowed")
		}
		return nil
	}
}

func oneOf(words ...string) check {
	return func(s string) error {
		if slices.Contains(words, s) {
			return nil
		}
		return fmt.Errorf("expected one of %s; the nearest is %q", strings.Join(words, ", "), nearest(s, words))
	}
}
