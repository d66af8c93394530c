package s3url

import (
	"cmp"
	"fmt"
	"strings"
)

// param is one known parameter. Parsing, checking, printing, the suggestions for
// misspelt names, Parameters and Warnings use the table of them.
type param struct {
	name       string
	def        string // value if the URL has none, for people
	alias      string // another name for it
	deprecated string // what to write instead, if deprecated
	extension  bool   // unknown to Nix and Lix
	transport  bool   // a field of Transport
	setting    bool   // a cache setting, kept in Rest
	file       bool   // of directories, not allowed in s3:// URLs

	bind func(u *URL) value // its place in a URL
}

// setting returns the parameter for a cache setting.
func setting(name, def string, c check) param {
	return param{name: name, def: def, setting: true, bind: func(u *URL) value { return restValue{u, name, c} }}
}

// extended marks a setting that Nix and Lix do not know.
func extended(p param) param {
	p.extension = true
	return p
}

var params = []param{
	{name: "profile", def: "AWS_PROFILE, else default", bind: func(u *URL) value { return text{&u.Profile, line(256)} }},
	{name: "region", def: "AWS_REGION, else the profile's, else " + DefaultRegion, bind: func(u *URL) value { return text{&u.Region, isRegion} }},
	{name: "scheme", def: defaultScheme, deprecated: "write it into the endpoint, as in endpoint=http://host:port", bind: func(u *URL) value { return text{&u.Scheme, oneOf("http", "https")} }},
	{name: "endpoint", def: "AWS", bind: func(u *URL) value { return text{&u.Endpoint, line(1024)} }},
	{name: "addressing-style", def: "auto", bind: func(u *URL) value {
		return text{&u.AddressingStyle, oneOf("auto", "path", "virtual")}
	}},
	{name: "multipart-upload", def: "true", bind: func(u *URL) value { return optionalBool{&u.MultipartUpload} }},
	{name: "multipart-chunk-size", def: "5242880", alias: "buffer-size", bind: func(u *URL) value {
		return number[int64]{p: &u.MultipartChunkSize, min: 5 << 20, max: 5 << 30}
	}},
	{name: "multipart-threshold", def: "104857600", bind: func(u *URL) value {
		return number[int64]{p: &u.MultipartThreshold, zero: 1, min: 1, max: 1 << 50}
	}},
	{name: "storage-class", def: "the bucket's", bind: func(u *URL) value { return text{&u.StorageClass, isToken} }},
	{name: "versionId", def: "the newest", bind: func(u *URL) value { return text{&u.VersionID, line(1024)} }},
	{name: "retryable-exception-names", def: "none", bind: func(u *URL) value { return tokens{&u.RetryableExceptionNames} }},

	{name: "tls-certificate", def: "none", transport: true, bind: func(u *URL) value { return text{&u.TLSCertificate, line(4096)} }},
	{name: "tls-private-key", def: "none", transport: true, bind: func(u *URL) value { return text{&u.TLSPrivateKey, line(4096)} }},
	{name: "retry-attempts", def: "5", transport: true, bind: func(u *URL) value {
		return number[int]{p: &u.RetryAttempts, zero: 1, min: 1, max: 1000}
	}},
	{name: "retry-delay", def: "100", transport: true, bind: func(u *URL) value { return milliseconds{&u.RetryDelay} }},
	{name: "retry-max-delay", def: "60000", transport: true, bind: func(u *URL) value { return milliseconds{&u.RetryMaxDelay} }},
	{name: "retry-delay-rate-limited", def: "5000", transport: true, bind: func(u *URL) value { return milliseconds{&u.RetryDelayRateLimited} }},
	{name: "stall-timeout", def: "300000", transport: true, extension: true, bind: func(u *URL) value { return milliseconds{&u.StallTimeout} }},
	{name: "first-byte-timeout", def: "300000", transport: true, extension: true, bind: func(u *URL) value { return milliseconds{&u.FirstByteTimeout} }},

	{name: "anonymous", def: "false", extension: true, bind: func(u *URL) value { return boolean{&u.Anonymous} }},
	{name: "sse", def: "the bucket's", extension: true, bind: func(u *URL) value { return text{&u.SSE, oneOf("AES256", "aws:kms", "aws:kms:dsse")} }},
	{name: "sse-kms-key-id", def: "the account's", extension: true, bind: func(u *URL) value { return text{&u.SSEKMSKeyID, line(2048)} }},
	{name: "requester-pays", def: "false", extension: true, bind: func(u *URL) value { return boolean{&u.RequesterPays} }},
	{name: "accelerate", def: "false", extension: true, bind: func(u *URL) value { return boolean{&u.Accelerate} }},
	{name: "dualstack", def: "false", extension: true, bind: func(u *URL) value { return boolean{&u.DualStack} }},
	{name: "fips", def: "false", extension: true, bind: func(u *URL) value { return boolean{&u.FIPS} }},
	{name: "cache-control", def: "none", extension: true, bind: func(u *URL) value { return text{&u.CacheControl, line(1024)} }},
	{name: "tags", def: "none", extension: true, bind: func(u *URL) value { return tags{&u.Tags} }},
	{name: "max-concurrency", def: "the driver's", extension: true, bind: func(u *URL) value {
		return number[int]{p: &u.MaxConcurrency, min: 1, max: 10000}
	}},

	{name: "fsync", def: "true", extension: true, file: true, bind: func(u *URL) value { return optionalBool{&u.fsync} }},

	setting("compression", "zstd", oneOf(compressions...)),
	setting("compression-level", "-1", isInteger(-1<<31, 1<<31-1)),
	setting("parallel-compression", "true for zstd, false else", isBool),
	setting("write-nar-listing", "false", isBool),
	setting("index-debug-info", "false", isBool),
	setting("narinfo-compression", "none", oneOf(compressions...)),
	setting("ls-compression", "none", oneOf(compressions...)),
	setting("log-compression", "none", oneOf(compressions...)),
	setting("secret-key", "none", line(4096)),
	setting("secret-keys", "none", line(16384)),
	setting("local-nar-cache", "none", line(4096)),
	setting("store", "/nix/store", isAbsolute),
	setting("priority", "the cache's", isInteger(-1<<31, 1<<31-1)),
	setting("want-mass-query", "the cache's", isBool),
	setting("trusted", "false", isBool),
	setting("path-info-cache-size", "0", isInteger(0, 1<<31-1)),
	setting("system-features", "none", line(4096)),
	extended(setting("presence", "none", line(256))),
	extended(setting("transfers", "64", isInteger(1, 1<<16))),
}

// compressions are the names that a narinfo may have (Nix manual, "Binary
// Cache"). Package codec cannot write all of them.
var compressions = []string{
	"none", "br", "bzip2", "compress", "grzip", "gzip", "lrzip", "lz4", "lzip", "lzma", "lzop", "xz", "zstd",
}

// Parameter is one setting of a URL as it takes effect.
type Parameter struct {
	Name      string
	Value     string // for people; that of a default may be a description
	Origin    string // "default", "url", or "alias": the URL has an alias of Name
	Extension bool   // Nix and Lix do not know it
	Note      string // that it is deprecated, or its alias in the URL; else ""
}

// Parameters returns all known parameters of s3:// URLs with their effective
// values, those of S3 first, then the cache settings.
func (u *URL) Parameters() []Parameter {
	all := make([]Parameter, 0, len(params))
	for i := range params {
		p := &params[i]
		if p.file {
			continue
		}
		out := Parameter{Name: p.name, Value: p.def, Origin: "default", Extension: p.extension}
		if text := p.bind(u).String(); text != "" {
			out.Value, out.Origin = text, "url"
			out.Note = p.note(u)
			if u.spelled[p.name] != "" {
				out.Origin = "alias"
			}
		}
		all = append(all, out)
	}
	return all
}

// note returns a warning if the parameter is deprecated or was given by an alias,
// else "".
func (p *param) note(u *URL) string {
	switch alias := u.spelled[p.name]; {
	case alias != "":
		return fmt.Sprintf("%s is the old name of %s", alias, p.name)
	case p.deprecated != "":
		return p.name + " is deprecated: " + p.deprecated
	}
	return ""
}

// Warnings returns one sentence for each part of the URL that is deprecated, has
// no effect or is probably a mistake, in a fixed order. The URL is usable
// nevertheless.
func (u *URL) Warnings() []string {
	var all []string
	for i := range params {
		if p := &params[i]; p.bind(u).String() != "" {
			if note := p.note(u); note != "" {
				all = append(all, note)
			}
		}
	}
	for _, name := range u.repeated {
		all = append(all, name+" is given more than once: the first value counts")
	}
	if u.Scheme != "" && strings.Contains(u.Endpoint, "://") {
		all = append(all, "scheme has no effect: the endpoint names its own")
	}
	all = append(all, SettingsWarnings(u.Rest)...)
	if rule := bucketWarning(u.Bucket); rule != "" && u.IsAWS() {
		all = append(all, "S3 no longer accepts the bucket's name for new buckets, which have "+rule)
	}
	chunk, threshold := cmp.Or(u.MultipartChunkSize, DefaultMultipartChunkSize), cmp.Or(u.MultipartThreshold, DefaultMultipartThreshold)
	if threshold < chunk {
		all = append(all, fmt.Sprintf("multipart-threshold (%d) is less than multipart-chunk-size (%d): some uploads will be of a single part", threshold, chunk))
	}
	return all
}
