// Package presence is the format of a signed index of which paths a cache has. A
// client that holds one knows of most absent paths without a request.
//
// An index is a head of text and a binary fuse filter:
//
//	nixs3-presence: 1
//	Cache: ci.example.org
//	StoreDir: /nix/store
//	Time: 2026-11-25T19:00:00Z
//	Expires: 2026-11-26T19:00:00Z
//	Paths: 100000
//	Filter: binary-fuse8 114704 sha256:1b8m…
//	Sig: ci.example.org-1:…
//
//	<filter>
//
// A signature covers the lines before the first Sig: so the name of the cache, the
// store directory, the times, the number of paths and the hash of the filter. It
// cannot be taken for that of a store path, which begins with "1;". A reader
// verifies a signature before it looks at the filter.
//
// The filter has 9 to 10 bits a path. It has each path that the cache had at Time, and 1
// of 256 others.
package presence

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
)

const (
	// MaxSize bounds an index in bytes. It has room for 230 million paths.
	MaxSize = 256 << 20

	// MaxLifetime bounds the time from Time to Expires.
	MaxLifetime = 7 * 24 * time.Hour

	// maxSkew is how far the clock of the signer may be ahead.
	maxSkew = 5 * time.Minute

	maxHead = 16 << 10
	maxSigs = 16
	maxName = 256

	version    = "1"
	filterName = "binary-fuse8"
)

// Errors of Parse and Index.Check.
var (
	ErrFormat    = errors.New("malformed index of paths")
	ErrUntrusted = errors.New("no trusted key has signed the index of paths")
	ErrOther     = errors.New("index of paths of another cache")
	ErrExpired   = errors.New("index of paths has expired")
)

// Index says which paths a cache had at a time.
type Index struct {
	Cache    string // the name of the cache
	StoreDir storepath.Dir
	Time     time.Time // in whole seconds
	Expires  time.Time
	Paths    int64

	filter filter
}

// New returns an index of paths without a filter for Encode.
func New(cache string, dir storepath.Dir, now time.Time, lifetime time.Duration) (*Index, error) {
	x := &Index{Cache: cache, StoreDir: dir, Time: now.UTC().Truncate(time.Second)}
	x.Expires = x.Time.Add(lifetime.Truncate(time.Second))
	return x, x.validate()
}

func (x *Index) validate() error {
	switch life := x.Expires.Sub(x.Time); {
	case x.Cache == "" || len(x.Cache) > maxName || strings.ContainsFunc(x.Cache, func(r rune) bool { return r <= ' ' || r > '~' }):
		return fmt.Errorf("%w: expected a name of 1 to %d printable characters without spaces, got %.300q", ErrFormat, maxName, x.Cache)
	case x.StoreDir.Validate() != nil:
		return fmt.Errorf("%w: %v", ErrFormat, x.StoreDir.Validate())
	case x.Paths < 0:
		return fmt.Errorf("%w: expected a number of paths, got %d", ErrFormat, x.Paths)
	case life <= 0 || life > MaxLifetime:
		return fmt.Errorf("%w: expected a lifetime of more than 0 and at most %v, got %v", ErrFormat, MaxLifetime, life)
	}
	return nil
}

// head returns what signatures cover.
func (x *Index) head(body []byte) []byte {
	sum := sha256.Sum256(body)
	return fmt.Appendf(nil, "nixs3-presence: %s\nCache: %s\nStoreDir: %s\nTime: %s\nExpires: %s\nPaths: %d\nFilter: %s %d %s\n",
		version, x.Cache, x.StoreDir, x.Time.Format(time.RFC3339), x.Expires.Format(time.RFC3339), x.Paths,
		filterName, len(body), nixhash.FromSHA256(sum))
}

// Encode returns the index with a filter of the hash parts, signed.
func (x *Index) Encode(ctx context.Context, keys []uint64, signers ...narinfo.Signer) ([]byte, error) {
	x.Paths = int64(len(keys))
	body, err := buildFilter(keys)
	if err != nil {
		return nil, err
	}
	head := x.head(body)
	data := bytes.Clone(head)
	for _, s := range signers {
		sig, err := s.Sign(ctx, head)
		if err != nil {
			return nil, fmt.Errorf("signing the index of paths: %w", err)
		}
		if p, ok := s.(interface{ Public() narinfo.PublicKey }); ok && !p.Public().Verify(head, sig) {
			return nil, fmt.Errorf("signing the index of paths: the signature by %s does not verify by its public key", s.KeyName())
		}
		data = append(data, "Sig: "+sig.String()+"\n"...)
	}
	data = append(append(data, '\n'), body...)
	if len(data) > MaxSize {
		return nil, fmt.Errorf("index of paths: expected at most %d bytes, got %d", MaxSize, len(data))
	}
	return data, nil
}

// Parse returns an index that one of the keys has signed. It keeps data, which the
// caller bounds by MaxSize.
func Parse(data []byte, keys narinfo.TrustedKeys) (*Index, error) {
	end := bytes.Index(data[:min(len(data), maxHead)], []byte("\n\n"))
	if end < 0 {
		return nil, fmt.Errorf("%w: expected a head of at most %d bytes", ErrFormat, maxHead)
	}
	text, body := string(data[:end+1]), data[end+2:]
	head, sigs, _ := strings.Cut(text, "Sig: ")
	if err := verify([]byte(head), sigs, keys); err != nil {
		return nil, err
	}
	x, err := parseHead(head)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrFormat, err)
	}
	if err := x.validate(); err != nil {
		return nil, err
	}
	if string(x.head(body)) != head {
		return nil, fmt.Errorf("%w: the filter is not that of the head", ErrFormat)
	}
	x.filter, err = parseFilter(body, x.Paths)
	return x, err
}

// verify looks for a good signature by a key. sigs are the signatures, joined by
// the name of their field.
func verify(head []byte, sigs string, keys narinfo.TrustedKeys) error {
	if !strings.HasSuffix(string(head), "\n") || sigs == "" {
		return ErrUntrusted
	}
	lines := strings.SplitN(strings.TrimSuffix(sigs, "\n"), "\nSig: ", maxSigs+1)
	for _, line := range lines[:min(len(lines), maxSigs)] {
		sig, err := narinfo.ParseSignature(line)
		if err != nil {
			return fmt.Errorf("%w: %v", ErrFormat, err)
		}
		for _, key := range keys {
			if key.Name() == sig.KeyName && key.Verify(head, sig) {
				return nil
			}
		}
	}
	return ErrUntrusted
}

// parseHead reads the fields in their order. That their text is canonical and the
// filter is theirs is checked by printing them again.
func parseHead(head string) (*Index, error) {
	lines := strings.Split(strings.TrimSuffix(head, "\n"), "\n")
	fields := []string{"nixs3-presence", "Cache", "StoreDir", "Time", "Expires", "Paths", "Filter"}
	if len(lines) != len(fields) {
		return nil, fmt.Errorf("expected %d fields, got %d", len(fields), len(lines))
	}
	values := make([]string, len(fields))
	for i, field := range fields {
		value, ok := strings.CutPrefix(lines[i], field+": ")
		if !ok {
			return nil, fmt.Errorf("expected the field %s, got %.100q", field, lines[i])
		}
		values[i] = value
	}
	if values[0] != version {
		return nil, fmt.Errorf("expected version %s, got %.100q", version, values[0])
	}
	x := &Index{Cache: values[1], StoreDir: storepath.Dir(values[2])}
	var errs [3]error
	x.Time, errs[0] = time.Parse(time.RFC3339, values[3])
	x.Expires, errs[1] = time.Parse(time.RFC3339, values[4])
	x.Paths, errs[2] = strconv.ParseInt(values[5], 10, 64)
	return x, errors.Join(errs[:]...)
}

// Check fails unless the index is of the named cache and fresh.
func (x *Index) Check(cache string, dir storepath.Dir, now time.Time) error {
	switch {
	case x.Cache != cache:
		return fmt.Errorf("%w: expected that of %q, got that of %q", ErrOther, cache, x.Cache)
	case x.StoreDir != dir:
		return fmt.Errorf("%w: expected the store directory %s, got %s", ErrOther, dir, x.StoreDir)
	case now.Before(x.Time.Add(-maxSkew)):
		return fmt.Errorf("%w: its time %v is in the future", ErrFormat, x.Time)
	case !now.Before(x.Expires):
		return fmt.Errorf("%w at %v", ErrExpired, x.Expires)
	}
	return nil
}

// Has reports whether the cache may have had a path. false is certain.
func (x *Index) Has(key uint64) bool { return x.filter.has(key) }
