package serve

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// OIDC is a TokenVerifier for the ID tokens of an OpenID Connect provider, such
// as those of jobs of GitHub Actions and GitLab CI.
type OIDC struct {
	Issuer   string // "https://token.actions.githubusercontent.com"
	Audience string // that the token must be for
	Access   Access // of a token that fits

	// Claims must all hold. A claim holds when its value, or one of them where
	// it is a list, matches one of the patterns, as [path.Match] does: an
	// asterisk does not match a slash.
	Claims map[string][]string

	// Client asks the provider. nil means one with a time limit of 10 s.
	Client *http.Client

	mu       sync.Mutex
	verifier *oidc.IDTokenVerifier
	failed   time.Time // the last time that the provider did not answer
}

// askAgain is how long a provider that failed is left alone.
const askAgain = 5 * time.Second

// Verify implements TokenVerifier. A provider that does not answer is an error
// other than ErrUnknownToken.
func (o *OIDC) Verify(ctx context.Context, token string) (Identity, error) {
	if issuerOf(token) != o.Issuer {
		return Identity{}, ErrUnknownToken
	}
	verifier, err := o.provider()
	if err != nil {
		return Identity{}, err
	}
	id, err := verifier.Verify(ctx, token)
	if failed := (*url.Error)(nil); errors.As(err, &failed) || err != nil && (ended(err) || strings.Contains(err.Error(), "fetching keys")) {
		return Identity{}, fmt.Errorf("keys of %s: %w", o.Issuer, err)
	}
	if err != nil {
		return Identity{}, ErrUnknownToken
	}
	var claims map[string]any
	if err := id.Claims(&claims); err != nil || !o.fits(claims) {
		return Identity{}, ErrUnknownToken
	}
	return Identity{Name: id.Subject, Access: o.Access}, nil
}

// provider discovers the provider once.
func (o *OIDC) provider() (*oidc.IDTokenVerifier, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.verifier != nil {
		return o.verifier, nil
	}
	if time.Since(o.failed) < askAgain {
		return nil, fmt.Errorf("%s did not answer", o.Issuer)
	}
	client := o.Client
	if client == nil {
		client = &http.Client{Timeout: 10 * time.Second}
	}
	// The keys are fetched with this context too, whenever they change.
	provider, err := oidc.NewProvider(oidc.ClientContext(context.Background(), client), o.Issuer)
	if err != nil {
		o.failed = time.Now()
		return nil, err
	}
	o.verifier = provider.Verifier(&oidc.Config{ClientID: o.Audience})
	return o.verifier, nil
}

// fits reports whether all claims hold.
func (o *OIDC) fits(claims map[string]any) bool {
	for name, patterns := range o.Claims {
		if !holds(claims[name], patterns) {
			return false
		}
	}
	return true
}

func holds(value any, patterns []string) bool {
	switch v := value.(type) {
	case []any:
		for _, one := range v {
			if holds(one, patterns) {
				return true
			}
		}
		return false
	case string, bool, float64:
		text := fmt.Sprint(v)
		for _, pattern := range patterns {
			if ok, err := path.Match(pattern, text); ok && err == nil {
				return true
			}
		}
	}
	return false
}

// issuerOf returns the issuer that a token names, which nothing vouches for
// yet, "" for what is not such a token.
func issuerOf(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 || len(token) > 16<<10 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return ""
	}
	return claims.Issuer
}

// ParseOIDC reads a rule of space-separated name=value pairs: issuer, audience,
// access, and any number of claims, whose patterns are separated by commas.
//
//	issuer=https://gitlab.example audience=nixs3 access=read,push claim:project_path=team/*
func ParseOIDC(text string) (*OIDC, error) {
	o := &OIDC{Claims: map[string][]string{}}
	for field := range strings.FieldsSeq(text) {
		name, value, ok := strings.Cut(field, "=")
		if !ok || value == "" {
			return nil, fmt.Errorf("OIDC rule: expected name=value, got %q", field)
		}
		switch claim, isClaim := strings.CutPrefix(name, "claim:"); {
		case name == "issuer":
			o.Issuer = value
		case name == "audience":
			o.Audience = value
		case name == "access":
			var err error
			if o.Access, err = ParseAccess(value); err != nil {
				return nil, err
			}
		case isClaim && claim != "":
			for pattern := range strings.SplitSeq(value, ",") {
				if _, err := path.Match(pattern, ""); err != nil {
					return nil, fmt.Errorf("OIDC rule: %q: %w", pattern, err)
				}
				o.Claims[claim] = append(o.Claims[claim], pattern)
			}
		default:
			return nil, fmt.Errorf("OIDC rule: expected issuer, audience, access or claim:<name>, got %q", name)
		}
	}
	switch {
	case o.Issuer == "" || o.Audience == "" || o.Access == 0:
		return nil, errors.New("OIDC rule: expected issuer, audience and access")
	case len(o.Claims) == 0:
		return nil, errors.New("OIDC rule: expected a claim: without one, every job of every user of the issuer is let in")
	}
	return o, nil
}
