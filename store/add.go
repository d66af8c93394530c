package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/codec"
	"example.com/nixs3/store/internal/naming"
)

// Add publishes a path. Several goroutines that add the same path do its work
// once. Add reads the archive in the calling goroutine, and cannot interrupt a
// Read that blocks unless the archive is an Interrupter.
func (c *Cache) Add(ctx context.Context, info *narinfo.PathInfo, archive io.Reader, opts AddOptions) (added *narinfo.NarInfo, err error) {
	err = c.under(ctx, info, opts, func(opts AddOptions) (err error) {
		if added, err = c.add(ctx, info, archive, opts); err == nil && opts.Keep != nil {
			err = opts.Keep(ctx, added)
		}
		return err
	})
	return added, err
}

func (c *Cache) add(ctx context.Context, info *narinfo.PathInfo, archive io.Reader, opts AddOptions) (*narinfo.NarInfo, error) {
	unlock, _, err := c.places.paths.lock(ctx, info.Path)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if !opts.Repair {
		if opts.Session.lease.Leased() {
			c.infos.forget(info.Path.HashPart()) // the session covers only what is asked from now on
		}
		switch existing, err := c.NarInfo(ctx, info.Path); {
		case err == nil:
			if opts.Keep == nil {
				opts.Session.lease.Found(info.Path.HashPart())
			}
			return existing, nil
		case !isAbsent(err):
			return nil, err
		}
	}
	if !opts.ReferencesPresent {
		// Checked before anything is compressed, and again by Publish, since a
		// collector may remove them in between.
		if err := c.checkReferences(ctx, info); err != nil {
			return nil, err
		}
	}
	pending, err := c.prepare(ctx, info, archive, opts, unlock)
	if err != nil {
		return nil, err
	}
	if err := pending.Publish(ctx); err != nil {
		return nil, err
	}
	return pending.NarInfo(), nil
}

// under runs an addition under the session of the options, or one of its own.
func (c *Cache) under(ctx context.Context, info *narinfo.PathInfo, opts AddOptions, add func(AddOptions) error) (err error) {
	if opts.Session == nil {
		s, err := c.begin(ctx, append([]storepath.Path{info.Path}, info.References...), nil)
		if err != nil {
			return err
		}
		opts.Session = s
		defer func() { s.End(ctx, err) }()
		err = add(opts)
		return err
	}
	return add(opts)
}

// Prepare stores the archive of a path without making the path visible. If
// another goroutine was adding the path and has published it, Prepare returns
// its result. Prepare reads the archive as Add does.
func (c *Cache) Prepare(ctx context.Context, info *narinfo.PathInfo, archive io.Reader, opts AddOptions) (Pending, error) {
	unlock, waited, err := c.places.paths.lock(ctx, info.Path)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if waited && !opts.Repair {
		if existing, err := c.NarInfo(ctx, info.Path); err == nil {
			return published{existing}, nil
		}
	}
	return c.prepare(ctx, info, archive, opts, unlock)
}

// prepare is Prepare for a path that is locked. When the source stalls, it
// unlocks the path.
func (c *Cache) prepare(ctx context.Context, claims *narinfo.PathInfo, archive io.Reader, opts AddOptions, unlock func()) (*pending, error) {
	claims, err := c.checkClaims(claims)
	if err != nil {
		return nil, err
	}
	if opts.Encoded != nil && claims.NarSize <= 0 {
		return nil, fmt.Errorf("%s: expected the NarSize of the encoded archive, which bounds its decompression", claims.Path)
	}
	if err := c.ensureDescribed(ctx); err != nil {
		return nil, err
	}
	place, err := c.places.add(ctx, c.addingMemory(claims, opts))
	if err != nil {
		return nil, err
	}
	defer place.leave()
	staged, err := c.stage(ctx, c.expectedSize(claims, opts))
	if err != nil {
		return nil, err
	}
	defer staged.Close()

	reading, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	source := watchSource(archive, c.settings.Budget.Stall, func() {
		stop(blob.ErrStalled)
		place.leave()
		unlock()
		if i, ok := archive.(Interrupter); ok {
			i.Interrupt(blob.ErrStalled)
		}
	})
	f, err := c.takeIn(reading, claims, source, staged, opts)
	if err != nil {
		return nil, &archiveError{what: "adding " + claims.Path.String(), err: err}
	}
	place.leaveMemory() // for others, while this one is sent
	info := f.narInfo(claims)
	if err := info.Sign(ctx, slices.Concat(c.settings.Signers, opts.Signers)...); err != nil {
		return nil, naming.Error("signing "+info.Path.String(), info.Path.String(), err)
	}
	if err := c.putArchive(ctx, staged, info, opts); err != nil {
		return nil, err
	}
	if f.listing != nil {
		// Stored before the narinfo makes them reachable.
		if err := c.PutSidecars(ctx, info, f.listing); err != nil {
			return nil, err
		}
	}
	return &pending{cache: c, opts: opts, info: info}, nil
}

// checkClaims checks the claims about a path before it reads any byte.
func (c *Cache) checkClaims(info *narinfo.PathInfo) (*narinfo.PathInfo, error) {
	info = info.Clone()
	if info.StoreDir == "" {
		info.StoreDir = c.settings.StoreDir
	}
	switch {
	case info.Path.IsZero():
		return nil, errors.New("adding to a cache: expected a store path, got none")
	case info.StoreDir != c.settings.StoreDir:
		return nil, fmt.Errorf("%s: %w: expected a path of %s, got one of %s", info.Path, ErrStoreDir, c.settings.StoreDir, info.StoreDir)
	case !info.NarHash.IsZero() && info.NarHash.Algorithm() != nixhash.SHA256:
		return nil, fmt.Errorf("%s: NarHash: expected sha256, got %s", info.Path, info.NarHash.Algorithm())
	}
	slices.SortFunc(info.References, storepath.Path.Compare)
	info.References = slices.Compact(info.References)
	if info.NarHash.IsZero() {
		return info, nil // its content address is checked when the hash is known
	}
	return info, checkContentAddress(info)
}

// takeIn moves an archive into its staged object, and verifies every claim.
func (c *Cache) takeIn(ctx context.Context, claims *narinfo.PathInfo, archive io.Reader, staged io.Writer, opts AddOptions) (f *found, err error) {
	in := &intake{
		claims:      claims,
		staged:      staged,
		strict:      opts.StrictContentAddress || c.requiresStrict(claims),
		listing:     c.settings.WriteListing || c.settings.IndexDebugInfo,
		compression: c.settings.compression(),
		writer:      c.settings.writerOptions(),
	}
	if opts.Encoded == nil {
		f, err = in.plain(ctx, copyOf(archive))
	} else {
		e := opts.Encoded
		file := &narinfo.NarInfo{PathInfo: *claims, URL: e.URL, Compression: e.Compression, FileHash: e.FileHash, FileSize: e.FileSize}
		if c.keeps(e.Compression) {
			f, err = in.encoded(ctx, archive, file, opts.TrustNarHash && !in.listing)
		} else {
			f, err = in.recoded(ctx, archive, file)
		}
	}
	if err != nil {
		return nil, err
	}
	return f, f.verify(claims)
}

// addingMemory is the memory in bytes that taking in an archive may hold.
func (c *Cache) addingMemory(claims *narinfo.PathInfo, opts AddOptions) int64 {
	memory := int64(0)
	if opts.Encoded != nil {
		memory = passMemory(opts.Encoded.Compression, claims.NarSize)
		if c.keeps(opts.Encoded.Compression) {
			return memory
		}
	}
	return memory + encoderMemory(c.settings.compression(), c.settings.writerOptions(), claims.NarSize)
}

// keeps reports whether an archive with a compression is stored as it is.
func (c *Cache) keeps(name narinfo.Compression) bool {
	return c.settings.Compression == "" || c.settings.Compression == name
}

// expectedSize is the size of a path's file according to the claims, 0 if it is
// known only after compression.
func (c *Cache) expectedSize(info *narinfo.PathInfo, opts AddOptions) int64 {
	switch {
	case opts.Encoded != nil && c.keeps(opts.Encoded.Compression):
		return opts.Encoded.FileSize
	case c.settings.compression() == codec.None:
		return info.NarSize
	}
	return 0
}
