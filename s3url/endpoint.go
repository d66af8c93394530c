package s3url

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// isLabel reports whether a bucket's name can be one label of a host name.
func isLabel(name string) bool {
	other := func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' }
	return len(name) <= 63 && !strings.ContainsFunc(name, other) && strings.Trim(name, "-") == name
}

// UsesPathStyle reports whether requests have the bucket's name in the path and
// not in the host.
func (u *URL) UsesPathStyle() bool {
	switch u.AddressingStyle {
	case "path":
		return true
	case "virtual":
		return false
	}
	return u.Endpoint != "" || !isLabel(u.Bucket)
}

// EndpointURL returns the address of the server, without the bucket. It is nil
// for AWS, if the URL has no endpoint. An endpoint without "://" gets Scheme, so
// that "localhost" in "localhost:9000" is never read as a scheme.
func (u *URL) EndpointURL() (*url.URL, error) {
	if u.Endpoint == "" {
		return nil, nil
	}
	e, err := u.endpoint()
	return e, conceal(u.Endpoint, err)
}

func (u *URL) endpoint() (*url.URL, error) {
	full := u.Endpoint
	if !strings.Contains(full, "://") {
		full = cmp.Or(u.Scheme, defaultScheme) + "://" + full
	}
	e, err := url.Parse(full)
	if err != nil {
		var inner *url.Error
		if errors.As(err, &inner) {
			err = inner.Err // the caller adds the URL to the message
		}
		return nil, fmt.Errorf("%w; expected https://host[:port][/path] or host[:port]", err)
	}
	switch {
	case e.Scheme != "http" && e.Scheme != "https":
		return nil, fmt.Errorf("scheme %q, expected http or https", e.Scheme)
	case e.Hostname() == "":
		return nil, errors.New("the host is missing")
	case strings.Contains(e.Hostname(), ":") && !strings.HasPrefix(e.Host, "["):
		return nil, errors.New("an IPv6 address goes into brackets, as in [::1]:9000")
	case e.User != nil:
		return nil, errLogin
	case e.RawQuery != "" || e.ForceQuery || e.Fragment != "":
		return nil, errors.New("neither query nor fragment is allowed")
	}
	if port := e.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, fmt.Errorf("port %q, expected 1 to 65535", port)
		}
	}
	return &url.URL{Scheme: e.Scheme, Host: e.Host, Path: strings.TrimRight(e.Path, "/")}, nil
}

// IsAWS reports whether requests go to AWS: the URL has no endpoint, or one in a
// domain of AWS, such as that of a VPC.
func (u *URL) IsAWS() bool {
	e, err := u.EndpointURL()
	if err != nil {
		return false
	}
	if e == nil {
		return true
	}
	host := strings.ToLower(strings.TrimSuffix(e.Hostname(), "."))
	for _, p := range partitions {
		if strings.HasSuffix(host, "."+p.dnsSuffix) {
			return true
		}
	}
	return false
}

func (u *URL) endpointIsAddress() bool {
	e, err := u.EndpointURL()
	if err != nil || e == nil {
		return false
	}
	_, err = netip.ParseAddr(e.Hostname())
	return err == nil
}

// partition is one of the partitions of AWS, which share nothing.
type partition struct{ id, dnsSuffix string }

var commercial = partition{"aws", "amazonaws.com"}

// partitions has the partitions by the prefixes of their regions.
var partitions = []struct {
	prefix string
	partition
}{
	{"cn-", partition{"aws-cn", "amazonaws.com.cn"}},
	{"us-gov-", partition{"aws-us-gov", "amazonaws.com"}},
	{"us-iso-", partition{"aws-iso", "c2s.ic.gov"}},
	{"us-isob-", partition{"aws-iso-b", "sc2s.sgov.gov"}},
	{"eu-isoe-", partition{"aws-iso-e", "cloud.adc-e.uk"}},
	{"us-isof-", partition{"aws-iso-f", "csp.hci.ic.gov"}},
	{"eusc-", partition{"aws-eusc", "amazonaws.eu"}},
	{"", commercial},
}

// PartitionOf returns the partition of a region as in ARNs: "aws", "aws-cn",
// "aws-us-gov" and so on. For an unknown region it is "aws".
func PartitionOf(region string) string { return partitionOf(region).id }

func partitionOf(region string) partition {
	for _, p := range partitions {
		if strings.HasPrefix(region, p.prefix) {
			return p.partition
		}
	}
	return commercial
}

// ObjectURL returns the address of an object that Nix would request: the prefix
// and the key in the bucket, and the version if the URL names one. It ignores a
// region that only the environment names.
func (u *URL) ObjectURL(key string) (*url.URL, error) {
	if u.Prefix != "" {
		key = u.Prefix + "/" + key
	}
	if err := checkKey(key); err != nil {
		return nil, fmt.Errorf("key %q: %w", key, err)
	}
	base, err := u.EndpointURL()
	if err != nil {
		return nil, conceal(u.Endpoint, &parameterError{"endpoint", u.Endpoint, err})
	}
	if base == nil {
		base = &url.URL{Scheme: cmp.Or(u.Scheme, defaultScheme), Host: u.awsHost()}
	}
	path := key
	if u.UsesPathStyle() {
		path = u.Bucket + "/" + key
	} else {
		base.Host = u.Bucket + "." + base.Host
	}
	// S3 reads a plain plus sign in a path as a space, so all characters but
	// the unreserved are encoded, which are more than package url encodes.
	base.RawPath = escape(base.Path, "/") + "/" + escape(path, "/")
	base.Path += "/" + path
	if u.VersionID != "" {
		base.RawQuery = "versionId=" + escape(u.VersionID, "")
	}
	return base, nil
}

// awsHost returns the host of AWS for the region and the kind of endpoint.
func (u *URL) awsHost() string {
	region := cmp.Or(u.Region, DefaultRegion)
	suffix := partitionOf(region).dnsSuffix
	stack := ""
	if u.DualStack {
		stack = ".dualstack"
	}
	switch {
	case u.Accelerate:
		return "s3-accelerate" + stack + "." + suffix
	case u.FIPS:
		return "s3-fips" + stack + "." + region + "." + suffix
	}
	return "s3" + stack + "." + region + "." + suffix
}
