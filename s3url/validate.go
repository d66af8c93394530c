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

// Validate reports what is wrong with the URL: a bucket name or a prefix that
// S3 does not allow, a malformed parameter, or parameters that exclude one
// another.
func (u *URL) Validate() error {
	if err := u.validate(); err != nil {
		return fmt.Errorf("s3 URL of bucket %q: %w", u.Bucket, err)
	}
	return nil
}

func (u *URL) validate() error {
	// A field set by hand is checked by reading its own text again.
	for i := range params {
		p := &params[i]
		if text := p.bind(u).String(); text != "" && !p.setting {
			if err := p.bind(&URL{}).set(text); err != nil {
				return fmt.Errorf("%s=%s: %w", p.name, text, err)
			}
		}
	}
	if err := CheckSettings(u.Rest); err != nil {
		return err
	}
	if err := u.Transport.validate(); err != nil {
		return err
	}
	if _, err := u.EndpointURL(); err != nil {
		return fmt.Errorf("endpoint=%s: %w", u.Endpoint, err)
	}
	if err := checkBucket(u.Bucket, u.Endpoint != ""); err != nil {
		return err
	}
	if u.Prefix != "" {
		if err := checkKey(u.Prefix); err != nil {
			return fmt.Errorf("prefix %q: %w", u.Prefix, err)
		}
		if strings.Trim(u.Prefix, "/") != u.Prefix {
			return fmt.Errorf("prefix %q: want no slashes around it", u.Prefix)
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

// checkConflicts finds parameters that exclude one another, or that would be
// without effect.
func (u *URL) checkConflicts() error {
	custom := u.Endpoint != ""
	dotted := strings.Contains(u.Bucket, ".")
	switch {
	case u.AddressingStyle == Virtual && dotted:
		return errors.New("addressing-style=virtual: the dots in the bucket's name break TLS certificates; use addressing-style=path")
	case u.AddressingStyle == Virtual && custom && u.endpointIsAddress():
		return errors.New("addressing-style=virtual: the endpoint is an IP address, which cannot have the bucket put before it; use addressing-style=path")
	case u.Anonymous && u.Profile != "":
		return errors.New("anonymous=true excludes profile")
	case u.Anonymous && u.RequesterPays:
		return errors.New("anonymous=true excludes requester-pays: somebody has to pay")
	case u.SSEKMSKeyID != "" && !strings.HasPrefix(u.SSE, "aws:kms"):
		return errors.New("sse-kms-key-id needs sse=aws:kms or sse=aws:kms:dsse")
	case u.Accelerate && (custom || u.FIPS || dotted || u.AddressingStyle == Path):
		return errors.New("accelerate=true excludes endpoint, fips, addressing-style=path and a bucket with dots in its name")
	case u.DualStack && custom:
		return errors.New("dualstack=true excludes endpoint: write the address of the endpoint you want")
	case u.FIPS && custom:
		return errors.New("fips=true excludes endpoint: write the address of the endpoint you want")
	}
	return nil
}

// checkBucket holds a name against the rules of S3 (Amazon S3 User Guide,
// "General purpose bucket naming rules"). Other servers are less strict, with
// underscores and capitals as in the early days of S3.
func checkBucket(name string, custom bool) error {
	if name == "" {
		return errors.New("the bucket is missing; want s3://bucket[/prefix]")
	}
	if host, port, ok := strings.Cut(name, ":"); ok {
		return fmt.Errorf("invalid bucket name: %q cannot have the port %q; a server goes into endpoint=", host, port)
	}
	shortest, longest, others := 3, 63, "-."
	if custom {
		shortest, longest, others = 1, 255, "-._"
	}
	if len(name) < shortest || len(name) > longest {
		return fmt.Errorf("invalid bucket name: want %d to %d characters", shortest, longest)
	}
	for i := range len(name) {
		c := name[i]
		allowed := isAlphanumeric(c) && (custom || c < 'A' || c > 'Z')
		if !allowed && strings.IndexByte(others, c) < 0 {
			return fmt.Errorf("invalid bucket name: %q is not allowed; want lower-case letters, digits and %s", c, others)
		}
	}
	if !isAlphanumeric(name[0]) || !isAlphanumeric(name[len(name)-1]) {
		return errors.New("invalid bucket name: must begin and end with a letter or digit")
	}
	if strings.Contains(name, "..") {
		return errors.New("invalid bucket name: two dots in a row")
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return errors.New("invalid bucket name: it is an IP address; a server goes into endpoint=")
	}
	for _, reserved := range []string{"xn--", "sthree-"} {
		if !custom && strings.HasPrefix(name, reserved) {
			return fmt.Errorf("invalid bucket name: S3 reserves the prefix %q", reserved)
		}
	}
	return nil
}

// checkKey accepts the keys that S3 has and that an HTTP client leaves as they
// are.
func checkKey(key string) error {
	if key == "" || len(key) > maxKey {
		return fmt.Errorf("want 1 to %d bytes", maxKey)
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
