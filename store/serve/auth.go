package serve

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"strings"
)

// Access is what somebody may do.
type Access uint8

// The kinds of access. Pushing includes no reading.
const (
	AccessRead Access = 1 << iota
	AccessPush
)

// Has reports whether a includes all of b.
func (a Access) Has(b Access) bool { return a&b == b }

// Auth says who may read and push. A request may prove who it is by a client
// certificate, by Basic, with a token as the password and any user, as netrc
// files send it, or by Bearer. What it proves adds to what everybody may.
type Auth struct {
	// Anonymous is what everybody may.
	Anonymous Access

	// Verifiers are asked in turn about the token of a request.
	Verifiers []TokenVerifier

	// Certificate says what the owner of a client certificate may, which the
	// TLS listener has verified. nil means nothing.
	Certificate func(cert *x509.Certificate) Identity
}

// Identity is who a request proved to be.
type Identity struct {
	Name   string // for the access log
	Access Access
}

// TokenVerifier knows tokens.
type TokenVerifier interface {
	// Verify returns whose token it is, or ErrUnknownToken. Other errors mean
	// that it cannot be said now.
	Verify(ctx context.Context, token string) (Identity, error)
}

// ErrUnknownToken is a token that a TokenVerifier does not accept.
var ErrUnknownToken = errors.New("unknown token")

func (a *Auth) anonymous() Access { return a.Anonymous }

// identify returns who sends a request.
func (a *Auth) identify(r *http.Request) (Identity, error) {
	id := Identity{Access: a.Anonymous}
	if a.Certificate != nil && r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		by := a.Certificate(r.TLS.PeerCertificates[0])
		id = Identity{Name: by.Name, Access: id.Access | by.Access}
	}
	token, ok := tokenOf(r)
	if !ok {
		return id, nil
	}
	var failed error
	for _, v := range a.Verifiers {
		by, err := v.Verify(r.Context(), token)
		if err == nil {
			return Identity{Name: by.Name, Access: id.Access | by.Access}, nil
		}
		if !errors.Is(err, ErrUnknownToken) {
			failed = err
		}
	}
	if failed != nil {
		return id, failed
	}
	return id, ErrUnknownToken
}

// tokenOf returns the token of a request: that of Bearer, or the password of
// Basic, of which some clients leave the user away.
func tokenOf(r *http.Request) (string, bool) {
	if _, password, ok := r.BasicAuth(); ok {
		return password, password != ""
	}
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	token = strings.TrimSpace(token)
	return token, token != ""
}

// allow reports whether a request may do something, and answers it otherwise.
// Access that every client has needs no valid token: netrc files also send tokens
// of other services.
func (s *Server) allow(w *response, r *http.Request, want Access) bool {
	id, err := s.auth.identify(r)
	w.user = id.Name
	switch {
	case id.Access.Has(want):
		return true
	case err != nil && !errors.Is(err, ErrUnknownToken):
		s.fail(w, r, err)
	case err == nil && id.Name != "":
		s.refuse(w, http.StatusForbidden, "you may not do this here")
	default:
		w.Header().Add("WWW-Authenticate", `Basic realm="nixs3", charset="UTF-8"`)
		w.Header().Add("WWW-Authenticate", `Bearer realm="nixs3"`)
		s.refuse(w, http.StatusUnauthorized, "a token is needed: as the password in netrc, or as Bearer")
	}
	return false
}
