package s3url

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// hidden stands for what may be a secret.
const hidden = "xxxxx"

// RedactURL returns a store URL for messages, without secrets. It works on any
// text, well-formed or not. Whatever an "@" follows may be a part of a login,
// so all between the scheme and the last "@" is replaced by "xxxxx", except the
// path of a folder. So are fragments, values of unknown parameters, and keys
// that are given in place of their files. Control characters become "?".
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
			return visible(out + hidden) // the last one is escaped
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

// cutScheme cuts a URL behind its "://". The scheme is empty where there is
// none, or where it is not the name of one.
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

// errLogin is a login in a URL.
var errLogin = errors.New("credentials do not belong into the URL; use profile= or the environment")

// conceal returns err, which may quote rawURL, or where that may have a login, a
// shorter error that quotes nothing but the name of a known parameter.
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

// parameterError is a known parameter with a value that it cannot have.
type parameterError struct {
	name, value string
	err         error
}

func (e *parameterError) Error() string {
	return fmt.Sprintf("%s=%s: %v", e.name, clip(e.value), e.err)
}

func (e *parameterError) Unwrap() error { return e.err }

// clip shortens a text for a message.
func clip(s string) string {
	const limit = 200
	if len(s) <= limit {
		return s
	}
	return s[:limit] + "…"
}
