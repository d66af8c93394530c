package verify

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/codec"
	"example.com/nixs3/store/layout"
)

// target is a path that is to be checked.
type target struct {
	hashPart string
	listing  int64   // bytes of its listing; -1 where it has none, 0 where that is not known
	object   *object // the narinfo, where it was read already
}

// object is a small object as it was read.
type object struct {
	data    []byte
	missing bool
	fault   error // the object cannot be decoded
	err     error // nothing is known of it
}

// small reads and decodes an object of a kind that has a limit.
func (c *checker) small(ctx context.Context, key string) object {
	limit := layout.KindOf(key).Limit()
	raw, attrs, err := blob.ReadAll(ctx, c.bucket, key, limit)
	switch {
	case errors.Is(err, blob.ErrNotFound):
		return object{missing: true}
	case errors.Is(err, blob.ErrTooLarge):
		return object{fault: fmt.Errorf("more than %d bytes", limit)}
	case err != nil:
		return object{err: &UncheckedError{key, err}}
	}
	data, err := codec.DecodeContent(attrs.ContentEncoding, raw, limit)
	return object{data: data, fault: err}
}

// path checks the narinfo of a path and all that belongs to it.
func (c *checker) path(ctx context.Context, t target) result {
	key := layout.NarInfoKey(t.hashPart)
	r := result{record: record{Key: key, Depth: c.opts.Depth}, index: -1}
	if t.object == nil {
		o := c.small(ctx, key)
		t.object = &o
	}
	switch {
	case t.object.err != nil:
		r.err = t.object.err
		return r
	case t.object.missing:
		r.find(NarInfoMissing, key, "")
		return r
	case t.object.fault != nil:
		r.find(NarInfoInvalid, key, t.object.fault.Error())
		return r
	}
	info, err := narinfo.Parse(t.object.data)
	if err != nil {
		r.find(NarInfoInvalid, key, err.Error())
		return r
	}
	if info.Path.HashPart() != t.hashPart {
		r.find(NarInfoMisnamed, key, "it is the narinfo of "+info.Path.String())
		return r
	}
	r.info, r.Path, r.URL, r.FileSize, r.References = info, info.Path, info.URL, info.FileSize, info.References
	if info.StoreDir != c.cache.StoreDir() {
		r.find(NarInfoInvalid, key, fmt.Sprintf("expected a path of %s, got one of %s", c.cache.StoreDir(), info.StoreDir))
		return r
	}
	if c.opts.Depth >= Metadata {
		c.metadata(ctx, &r)
	}
	whole := c.archivePresent(ctx, &r)
	if r.err != nil || !whole {
		return r
	}
	switch {
	case c.opts.Depth == Files:
		c.file(ctx, &r)
	case c.opts.Depth >= Contents:
		c.contents(ctx, &r, t.listing)
	}
	return r
}

// metadata checks what a narinfo says by itself.
func (c *checker) metadata(ctx context.Context, r *result) {
	address := r.info.CA
	bare := *r.info
	bare.CA = storepath.ContentAddress{}
	if err := bare.Validate(); err != nil {
		r.find(NarInfoInvalid, r.Key, err.Error())
	}
	addressed := false
	if !address.IsZero() {
		if err := r.info.VerifyContentAddress(); err != nil {
			r.find(ContentAddressInvalid, r.Key, err.Error())
		} else {
			// Nothing here computes the hashes of Git, so that such an address
			// does not show that the contents are those.
			addressed = address.Method != storepath.MethodGit
		}
	}
	if len(c.opts.TrustedKeys) == 0 || ctx.Err() != nil {
		return
	}
	trusted := false
	if fingerprint, err := r.info.Fingerprint(); err == nil { // else Validate has said why
		trusted = c.signatures(ctx, r, fingerprint, r.info.Signatures)
	}
	if trusted || addressed || ctx.Err() != nil {
		return
	}
	if err := c.opts.TrustedKeys.Verify(&bare.PathInfo); err != nil {
		r.find(Untrusted, r.Key, err.Error())
	}
}

// signatures finds those that claim to be by a trusted key and are not, and
// reports whether any is by one. It ends with the context, since each takes time
// to check.
func (c *checker) signatures(ctx context.Context, r *result, fingerprint string, sigs []narinfo.Signature) (trusted bool) {
	for _, sig := range sigs {
		if ctx.Err() != nil {
			return false // the caller fails with the cause
		}
		named, good := signedBy(c.opts.TrustedKeys, fingerprint, sig)
		if named && !good {
			r.find(SignatureInvalid, r.Key, fmt.Sprintf("by %q", sig.KeyName))
		}
		trusted = trusted || good
	}
	return trusted
}

// signedBy reports whether one of the keys has the name of a signature, and
// whether one that has verifies it.
func signedBy(keys narinfo.TrustedKeys, fingerprint string, sig narinfo.Signature) (named, good bool) {
	for _, key := range keys {
		if key.Name() == sig.KeyName {
			named = true
			good = good || key.Verify([]byte(fingerprint), sig)
		}
	}
	return named, good
}

// archivePresent compares the archive's size with what the narinfo says, and
// reports whether there is reason to read it.
func (c *checker) archivePresent(ctx context.Context, r *result) bool {
	key, err := layout.ReferenceKey(r.URL)
	if err != nil {
		if _, ok := blob.As[blob.Referrer](c.bucket); ok {
			return true // what the URL leads to is only known by reading it
		}
		r.find(NarInfoInvalid, r.Key, err.Error())
		return false
	}
	size := int64(-1)
	if c.survey != nil {
		if archive := c.survey.archive(key); archive != nil {
			size = archive.size
		}
	}
	if size < 0 || c.opts.Depth == Metadata && c.checksums.worth() {
		// Not below nar/, there is no listing, or the server may have a checksum.
		attrs, err := c.bucket.Head(ctx, key)
		switch {
		case errors.Is(err, blob.ErrNotFound):
			r.find(ArchiveMissing, key, "")
			return false
		case err != nil:
			r.err = &UncheckedError{key, err}
			return false
		}
		size = attrs.Size
		c.checksums.seen(attrs)
		if claim := r.info.FileHash; attrs.SHA256 != nil && claim.Algorithm() == nixhash.SHA256 && c.opts.Depth >= Metadata {
			if got := nixhash.FromSHA256(*attrs.SHA256); got != claim {
				r.find(ArchiveChecksum, key, fmt.Sprintf("expected %v, got %v", claim, got))
			}
		}
	}
	if r.FileSize > 0 && size != r.FileSize && !c.encoded(ctx, key) {
		r.find(ArchiveSize, key, fmt.Sprintf("expected %d bytes, got %d", r.FileSize, size))
		return false
	}
	return true
}

// checksums knows whether it is worth a request to ask for the checksum of an
// archive. It is safe for concurrent use.
type checksums struct{ asked, given atomic.Int64 }

// checksumTrials is how many archives without a checksum show that the server
// keeps none.
const checksumTrials = 16

func (c *checksums) worth() bool { return c.given.Load() > 0 || c.asked.Load() < checksumTrials }

func (c *checksums) seen(attrs blob.Attrs) {
	c.asked.Add(1)
	if attrs.SHA256 != nil {
		c.given.Add(1)
	}
}
