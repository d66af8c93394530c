package s3url

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// maxKey is the length of the longest key of S3, in bytes.
const maxKey = 1024

// Validate returns an error for a bucket name or a prefix that cannot be sent, a
// malformed parameter, or parameters that exclude each other.
func (u *URL) Validate() error {
	if err := u.validate(); err != nil {
		return fmt.Errorf("s3 URL of bucket %q: %w", clip(u.Bucket), conceal(u.String(), err))
	}
	return nil
}

func (u *URL) validate() error {
	// Parsing the text of a field checks a value that Parse has not set.
	for i := range params {
		p := &params[i]
		if text := p.bind(u).String(); text != "" && !p.setting {
			if err := p.bind(&URL{}).set(text); err != nil {
				return &parameterError{p.name, text, err}
			}
		}
	}
	if err := ValidateSettings(u.Rest); err != nil {
		return err
	}
	if err := u.Transport.validate(); err != nil {
		return err
	}
	if _, err := u.EndpointURL(); err != nil {
		return &parameterError{"endpoint", u.Endpoint, err}
	}
	if err := checkBucket(u.Bucket); err != nil {
		return err
	}
	if u.Prefix != "" {
		if err := checkKey(u.Prefix); err != nil {
			return fmt.Errorf("prefix %q: %w", u.Prefix, err)
		}
		if strings.HasSuffix(u.Prefix, "/") {
			return fmt.Errorf("prefix %q: expected no slash at its end", u.Prefix)
		}
	}
	return u.checkConflicts()
}

func (t *Transport) validate() error {
	if t.TLSPrivateKey != "" && t.TLSCertificate == "" {
		return errors.New("tls-private-key needs tls-certificate")
	}
	return nil
}

// checkConflicts returns an error for parameters that exclude each other, or that
// would have no effect.
func (u *URL) checkConflicts() error {
	custom := u.Endpoint != ""
	dotted := strings.Contains(u.Bucket, ".")
	switch {
	case u.AddressingStyle == "virtual" && dotted:
		return errors.New("addressing-style=virtual: the dots in the bucket's name break TLS certificates; use addressing-style=path")
	case u.AddressingStyle == "virtual" && !isLabel(u.Bucket):
		return errors.New("addressing-style=virtual: the bucket's name cannot be a part of a host name; use addressing-style=path")
	case u.AddressingStyle == "virtual" && custom && u.endpointIsAddress():
		return errors.New("addressing-style=virtual: the endpoint is an IP address, which cannot have the bucket as a subdomain; use addressing-style=path")
	case u.Anonymous && u.Profile != "":
		return errors.New("anonymous=true excludes profile")
	case u.Anonymous && u.RequesterPays:
		return errors.New("anonymous=true excludes requester-pays: S3 cannot charge an anonymous requester")
	case u.SSEKMSKeyID != "" && !strings.HasPrefix(u.SSE, "aws:kms"):
		return errors.New("sse-kms-key-id needs sse=aws:kms or sse=aws:kms:dsse")
	case u.Accelerate && (custom || u.FIPS || !isLabel(u.Bucket) || u.AddressingStyle == "path"):
		return errors.New("accelerate=true excludes endpoint, fips, addressing-style=path and a bucket whose name is not one label of a host name")
	case u.DualStack && custom:
		return errors.New("dualstack=true excludes endpoint: write the address of such an endpoint")
	case u.FIPS && custom:
		return errors.New("fips=true excludes endpoint: write the address of such an endpoint")
	}
	return nil
}

// checkBucket accepts the names that Nix sends: those that can be the host of a
// URL and are not an IP address. Other servers, and S3 in its early days, allow
// more names than S3 does today; see bucketWarning.
func checkBucket(name string) error {
	const allowed = "-._~!$&'()*+,;="
	if name == "" {
		return errors.New("the bucket is missing, expected s3://bucket[/prefix]")
	}
	if strings.Contains(name, ":") {
		return errors.New("invalid bucket name: a colon is not allowed; a server and its port go into endpoint=")
	}
	if len(name) > maxBucket {
		return fmt.Errorf("invalid bucket name: %d bytes, expected at most %d", len(name), maxBucket)
	}
	for i := range len(name) {
		if c := name[i]; !isAlphanumeric(c) && strings.IndexByte(allowed, c) < 0 {
			return fmt.Errorf("invalid bucket name: %q is not allowed, expected letters, digits and %s", c, allowed)
		}
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return errors.New("invalid bucket name: it is an IP address; a server goes into endpoint=")
	}
	if name == "." || name == ".." {
		return errors.New("invalid bucket name: HTTP clients remove it from a path")
	}
	return nil
}

// maxBucket is the greatest length of a bucket's name in the early days of S3, in
// bytes.
const maxBucket = 255

// bucketWarning returns the first rule of S3 that a name breaks (Amazon S3 User
// Guide, "General purpose bucket naming rules"), or "".
func bucketWarning(name string) string {
	lower := func(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }
	if len(name) < 3 || len(name) > 63 {
		return "3 to 63 characters"
	}
	for i := range len(name) {
		if c := name[i]; !lower(c) && c != '-' && c != '.' {
			return "lower-case letters, digits, hyphens and dots"
		}
	}
	switch {
	case !lower(name[0]) || !lower(name[len(name)-1]):
		return "a letter or digit at the beginning and the end"
	case strings.Contains(name, ".."):
		return "no two dots in a row"
	case strings.HasPrefix(name, "xn--") || strings.HasPrefix(name, "sthree-"):
		return "no reserved prefix"
	}
	return ""
}

// checkKey accepts the keys that S3 allows and that HTTP clients do not change.
func checkKey(key string) error {
	if key == "" || len(key) > maxKey {
		return fmt.Errorf("expected 1 to %d bytes", maxKey)
	}
	if !utf8.ValidString(key) {
		return errors.New("not valid UTF-8")
	}
	if strings.ContainsRune(key, 0) {
		return errors.New("contains NUL")
	}
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "." || segment == ".." {
			return fmt.Errorf("has the segment %q, which HTTP clients remove", segment)
		}
	}
	return nil
}
