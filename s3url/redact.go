package s3url

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// hidden replaces a possible secret.
const hidden = "xxxxx"

// RedactURL returns a store URL for messages, without secrets. It accepts any
// text, even a malformed one. Text before an "@" may be a login, so RedactURL
// replaces all between the scheme and the last "@" by "xxxxx", except for the
// path of a folder. It also replaces fragments, unknown parameters with their
// values, and keys in place of key files. Control characters become "?".
func RedactURL(rawURL string) string {
	scheme, rest := cutScheme(rawURL)
	folder := ""
	if scheme == "" || strings.EqualFold(scheme, "file://") || strings.EqualFold(scheme, "local://") {
		folder, rest = cutFolder(rest)
	}
	out := scheme + folder
	if hasAt(rest) {
		at := strings.LastIndexByte(rest, '@')
		if at < 0 || hasAt(rest[at+1:]) {
			return visible(out + hidden) // the last "@" is escaped
		}
		out += hidden + "@"
		rest = rest[at+1:]
	}
	rest, fragment, _ := strings.Cut(rest, "#")
	rest, query, _ := strings.Cut(rest, "?")
	out += rest
	if query != "" {
		out += "?" + redactQuery(query)
	}
	if fragment != "" {
		out += "#" + hidden
	}
	return visible(out)
}

// cutScheme cuts a URL after its "://". The scheme is "" if the URL has none, or
// if it contains a character that is not allowed in one.
func cutScheme(rawURL string) (scheme, rest string) {
	scheme, rest, ok := strings.Cut(rawURL, "://")
	other := func(r rune) bool { return r > unicode.MaxASCII || !isAlphanumeric(byte(r)) && r != '+' }
	if !ok || strings.ContainsFunc(scheme, other) {
		return "", rawURL
	}
	return scheme + "://", rest
}

// cutFolder cuts the path of a folder, absolute or relative, off a URL.
func cutFolder(s string) (folder, rest string) {
	if !strings.HasPrefix(s, "/") && !strings.HasPrefix(s, ".") {
		return "", s
	}
	if i := strings.IndexAny(s, "?#"); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

// hasAt reports whether s has an "@", plain or escaped any number of times.
func hasAt(s string) bool {
	for strings.Contains(s, "%25") {
		s = strings.ReplaceAll(s, "%25", "%")
	}
	return strings.Contains(s, "@") || strings.Contains(s, "%40")
}

// redactQuery keeps the values of known parameters.
func redactQuery(query string) string {
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		if pair == "" {
			continue
		}
		if _, err := lookup(name); err != nil || !ok {
			pairs[i] = hidden
		} else if isKey(value) {
			pairs[i] = name + "=" + hidden
		}
	}
	return strings.Join(pairs, "&")
}

// isKey reports whether a text looks like a key, <name>:<base64>, and not like
// the name of a file.
func isKey(s string) bool {
	_, key, ok := strings.Cut(strings.NewReplacer("%3A", ":", "%3a", ":").Replace(s), ":")
	return ok && len(key) >= 40 && !strings.ContainsAny(key, "-_. ")
}

// visible replaces control characters.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, s)
}

// errLogin is the error for a login in a URL.
var errLogin = errors.New("credentials do not belong into the URL; use profile= or the environment")

// conceal returns err, which may quote rawURL. If rawURL may contain a login, it
// returns a shorter error that quotes only the name of a known parameter.
func conceal(rawURL string, err error) error {
	if err == nil || !hasAt(rawURL) {
		return err
	}
	const reason = "the details are hidden because the URL may have a password"
	p, ok := errors.AsType[*parameterError](err)
	switch {
	case errors.Is(err, errLogin) && ok:
		return fmt.Errorf("%s: %w", p.name, errLogin)
	case errors.Is(err, errLogin):
		return errLogin
	case ok:
		return fmt.Errorf("parameter %s is malformed; %s", p.name, reason)
	}
	return fmt.Errorf("malformed URL; %s", reason)
}

// parameterError is the error for a wrong value of a known parameter.
type parameterError struct {
	name, value string
	err         error
}

func (e *parameterError) Error() string {
	return fmt.Sprintf("%s=%s: %v", e.name, clip(e.value), e.err)
}

func (e *parameterError) Unwrap() error { return e.err }

// clip shortens a text for an error message.
func clip(s string) string {
	const limit = 200
	if len(s) <= limit {
		return s
	}
	return s[:limit] + "…"
}
