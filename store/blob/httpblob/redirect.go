package httpblob

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// maxRedirects is what Nix, too, follows at most.
const maxRedirects = 10

// redirectError is a redirect that is not followed. It names hosts only: the
// rest of an address may be a signature.
type redirectError struct{ reason string }

func (e *redirectError) Error() string { return e.reason }

// redirected returns where an answer sends the request, nil where it does not.
// None is followed from https to http, and none that would make a GET of a PUT,
// whose answer would look like success.
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
		return nil, &redirectError{"redirected to what is not an http or https URL"}
	case changes:
		return nil, &redirectError{fmt.Sprintf("redirected to %s in a way that makes GET of %s", to.Host, method)}
	case from.Scheme == "https" && to.Scheme != "https":
		return nil, &redirectError{fmt.Sprintf("redirected from https to %s://%s", to.Scheme, to.Host)}
	}
	to.User, to.Fragment, to.RawFragment = nil, "", ""
	return to, nil
}

// origin is what credentials are for: a scheme, a host and a port.
type origin struct{ scheme, host, port string }

func originOf(u *url.URL) origin {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return origin{u.Scheme, strings.ToLower(u.Hostname()), port}
}
