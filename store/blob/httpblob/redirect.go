package httpblob

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// maxRedirects is the greatest number of redirects of a request, as in Nix.
const maxRedirects = 10

// redirectError is a redirect that is not followed. It names hosts only: the
// rest of an address may be a signature.
type redirectError struct{ reason string }

func (e *redirectError) Error() string { return e.reason }

// redirected returns the address that an answer redirects to, nil if it does
// not redirect. It refuses redirects from https to http, and redirects that turn
// a PUT into a GET, whose answer would look like success.
func redirected(method string, from *url.URL, resp *http.Response) (*url.URL, error) {
	location := resp.Header.Get("Location")
	if location == "" {
		return nil, nil
	}
	changes := false
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther:
		changes = method != http.MethodGet && method != http.MethodHead
	case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return nil, nil
	}
	to, err := from.Parse(location)
	switch {
	case err != nil || to.Scheme != "http" && to.Scheme != "https" || to.Host == "":
		return nil, &redirectError{"redirected to an address that is not an http or https URL"}
	case changes:
		return nil, &redirectError{fmt.Sprintf("redirected to %s in a way that makes GET of %s", to.Host, method)}
	case from.Scheme == "https" && to.Scheme != "https":
		return nil, &redirectError{fmt.Sprintf("redirected from https to %s://%s", to.Scheme, to.Host)}
	}
	to.User, to.Fragment, to.RawFragment = nil, "", ""
	return to, nil
}

// origin is the scheme, host and port that credentials are for.
type origin struct{ scheme, host, port string }

func originOf(u *url.URL) origin {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return origin{u.Scheme, strings.ToLower(u.Hostname()), port}
}
