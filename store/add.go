package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"example.com/nixs3/nar"
	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/codec"
)

// askFirst is the size from which on it pays to ask whether an archive is there
// before sending it. A smaller one is sent on condition that it is not.
const askFirst = 64 << 10

// Add publishes a path. Several goroutines that add the same path do its work
// once.
func (c *Cache) Add(ctx context.Context, info *narinfo.PathInfo, archive io.Reader, opts AddOptions) (*narinfo.NarInfo, error) {
	unlock, _, err := c.adding.lock(ctx, info.Path)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if !opts.Repair {
		switch existing, err := c.NarInfo(ctx, info.Path); {
		case err == nil:
			return existing, nil
		case !isAbsent(err):
			return nil, err
		}
	}
	if !opts.ReferencesPresent {
		// Asked now, before anything is compressed, and again by Publish: they
		// may go in between.
		if err := c.checkReferences(ctx, info); err != nil {
			return nil, err
		}
	}
	pending, err := c.prepare(ctx, info, archive, opts)
	if err != nil {
		return nil, err
	}
	if err := pending.Publish(ctx); err != nil {
		return nil, err
	}
	return pending.NarInfo(), nil
}

// Prepare stores a path's archive without making the path visible. When another
// goroutine was at it, and has published the path since, nothing is left to do.
func (c *Cache) Prepare(ctx context.Context, info *narinfo.PathInfo, archive io.Reader, opts AddOptions) (Pending, error) {
	unlock, waited, err := c.adding.lock(ctx, info.Path)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if waited && !opts.Repair {
		if existing, err := c.NarInfo(ctx, info.Path); err == nil {
			return published{existing}, nil
		}
	}
	switch p, err := c.reuse(ctx, info, opts); {
	case err != nil:
		return nil, err
	case p != nil:
		return p, nil
	}
	return c.prepare(ctx, info, archive, opts)
}

func (c *Cache) prepare(ctx context.Context, info *narinfo.PathInfo, archive io.Reader, opts AddOptions) (Pending, error) {
	info, err := c.checkClaims(info)
	if err != nil {
		return nil, err
	}
	if err := c.ensureDescribed(ctx); err != nil {
		return nil, err
	}
	free := func() {}
	if opts.Encoded != nil {
		if info.NarSize <= 0 {
			return nil, fmt.Errorf("%s: an encoded archive needs its NarSize, by which decompression is bounded", info.Path)
		}
		if free, err = c.decoders.enter(ctx, passMemory(opts.Encoded.Compression, info.NarSize)); err != nil {
			return nil, err
		}
		defer free()
	}
	leave, err := c.writes.enter(ctx, 1)
	if err != nil {
		return nil, err
	}
	defer leave()
	staged, err := c.stage(ctx, c.expectedSize(info, opts))
	if err != nil {
		return nil, err
	}
	defer staged.Close()

	listing := c.settings.WriteListing || c.settings.IndexDebugInfo
	opts.TrustNarHash = opts.TrustNarHash && !listing
	content := newContentSum(info, opts.StrictContentAddress || c.requiresStrict(info))
	in := newIngestion(info, staged, content, listing)
	if err := c.ingest(ctx, in, archive, opts); err != nil {
		return nil, fmt.Errorf("adding %s: %w", info.Path, err)
	}
	free() // others may use it while this one is sent
	p, err := c.sign(ctx, in.narInfo(), opts)
	if err != nil {
		return nil, err
	}
	if err := c.commit(ctx, staged, p.info, opts.Repair); err != nil {
		return nil, err
	}
	if lw, ok := in.check.(*nar.ListingWriter); ok {
		if err := c.putSidecars(ctx, p.info, lw.Listing()); err != nil {
			return nil, err
		}
	}
	p.stored = &stored{info: p.info.Clone(), verified: !in.trusted}
	c.stored.add(p.stored)
	return p, nil
}

// checkClaims looks at what is claimed of a path before any byte is read.
func (c *Cache) checkClaims(info *narinfo.PathInfo) (*narinfo.PathInfo, error) {
	info = info.Clone()
	if info.StoreDir == "" {
		info.StoreDir = c.settings.StoreDir
	}
	switch {
	case info.Path.IsZero():
		return nil, errors.New("adding to a cache: the store path is missing")
	case info.StoreDir != c.settings.StoreDir:
		return nil, fmt.Errorf("%s: %w: the path is of %s, the cache of %s", info.Path, ErrStoreDir, info.StoreDir, c.settings.StoreDir)
	case !info.NarHash.IsZero() && info.NarHash.Algorithm() != nixhash.SHA256:
		return nil, fmt.Errorf("%s: NarHash is %s, wanted sha256", info.Path, info.NarHash.Algorithm())
	}
	slices.SortFunc(info.References, storepath.Path.Compare)
	info.References = slices.Compact(info.References)
	if info.NarHash.IsZero() {
		return info, nil // its content address is checked when the hash is known
	}
	return info, checkContentAddress(info)
}

// ingest moves the archive into its staged object. Memory for decompressing has
// been taken.
func (c *Cache) ingest(ctx context.Context, in *ingestion, archive io.Reader, opts AddOptions) error {
	encoded := opts.Encoded
	if encoded != nil && !c.keeps(encoded.Compression) {
		claims := &narinfo.NarInfo{PathInfo: *in.info, URL: encoded.URL, Compression: encoded.Compression, FileHash: encoded.FileHash, FileSize: encoded.FileSize}
		r := newVerifiedCopy(ctx, claims, nil, archive)
		defer r.Close()
		archive, encoded = r, nil
	}
	if encoded != nil {
		return in.encoded(ctx, archive, encoded, opts.TrustNarHash)
	}
	in.compression = c.settings.compression()
	in.writer = c.settings.writerOptions()
	leave, err := c.encoders.enter(ctx, encoderMemory(in.compression, in.writer, in.info.NarSize))
	if err != nil {
		return err
	}
	defer leave()
	return in.plain(ctx, func(w io.Writer) error {
		_, err := io.Copy(w, archive)
		return err
	})
}

// keeps reports whether an archive that is compressed so is stored as it is.
func (c *Cache) keeps(name narinfo.Compression) bool {
	return c.settings.Compression == "" || c.settings.Compression == name
}

// expectedSize is how large the file of a path will be if the claims are true,
// 0 where only compressing will tell.
func (c *Cache) expectedSize(info *narinfo.PathInfo, opts AddOptions) int64 {
	switch {
	case opts.Encoded != nil && c.keeps(opts.Encoded.Compression):
		return opts.Encoded.FileSize
	case c.settings.compression() == codec.None:
		return info.NarSize
	}
	return 0
}

// archiveKey names the object of an archive by the hash of its file.
func archiveKey(fileHash nixhash.Hash, name narinfo.Compression) string {
	return narDir + fileHash.Nix32() + ".nar" + codec.Extension(string(name))
}

// sign makes what is known of an archive ready to be published.
func (c *Cache) sign(ctx context.Context, info *narinfo.NarInfo, opts AddOptions) (*pending, error) {
	if err := info.Sign(ctx, slices.Concat(c.settings.Signers, opts.Signers)...); err != nil {
		return nil, fmt.Errorf("signing %s: %w", info.Path, err)
	}
	return &pending{cache: c, opts: opts, info: info}, nil
}

// commit gives the staged file its key, unless the cache has it.
func (c *Cache) commit(ctx context.Context, staged blob.Staged, info *narinfo.NarInfo, repair bool) error {
	digest := [32]byte(info.FileHash.Digest())
	opts := blob.PutOptions{ContentType: narType, SHA256: &digest}
	if !repair && info.FileSize >= askFirst {
		if attrs, err := c.bucket.Head(ctx, info.URL); err == nil && attrs.Size == info.FileSize {
			return nil
		}
		// Any other answer is that of the Put below.
	} else if !repair {
		opts.IfNoneMatch = true
	}
	_, err := staged.Commit(info.URL, opts)
	if !opts.IfNoneMatch || !errors.Is(err, blob.ErrPrecondition) {
		return err
	}
	attrs, err := c.bucket.Head(ctx, info.URL)
	if err == nil && attrs.Size == info.FileSize {
		return nil
	}
	c.settings.Logger.WarnContext(ctx, "replacing a file of the wrong size", "bucket", c.String(), "key", info.URL,
		"size", attrs.Size, "wanted", info.FileSize)
	opts.IfNoneMatch = false
	_, err = staged.Commit(info.URL, opts)
	return err
}
