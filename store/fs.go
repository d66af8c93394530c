package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"example.com/nixs3/nar"
	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/codec"
	"example.com/nixs3/store/internal/naming"
)

// ArchiveFS is the archive of a path as a file system (fs.FS), whose files are
// opened in any order. It is safe for concurrent use until it is closed.
type ArchiveFS struct {
	*nar.FS
	Info    *narinfo.NarInfo
	Listing *nar.Listing

	// Verified reports that the whole archive was verified before it was
	// opened. See [Cache.UnverifiedFS].
	Verified bool

	close func() error
}

// Close discards the archive unless Settings.LocalNARCache keeps it. Files that
// are open fail from then on.
func (a *ArchiveFS) Close() error { return a.close() }

// discard closes a temporary file and removes its name if it still has one.
func discard(f *os.File) error {
	err := f.Close()
	if rerr := os.Remove(f.Name()); !errors.Is(rerr, os.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	return err
}

// FS opens a path's archive as a file system. It reads and verifies the whole
// archive first: the copy in Settings.LocalNARCache, else a fetched one, which it
// keeps there. Without that setting the archive is in a temporary file without a
// name.
func (c *Cache) FS(ctx context.Context, p storepath.Path) (*ArchiveFS, error) {
	info, err := c.NarInfo(ctx, p)
	if err != nil {
		return nil, err
	}
	return c.openFS(ctx, info)
}

func (c *Cache) openFS(ctx context.Context, info *narinfo.NarInfo) (*ArchiveFS, error) {
	if c.settings.LocalNARCache == "" {
		return c.fetchFS(ctx, info, c.settings.SpoolDir, "")
	}
	if err := c.trust(&info.PathInfo); err != nil {
		return nil, err
	}
	kept := filepath.Join(c.settings.LocalNARCache, info.NarHash.Nix32()+".nar")  // as Nix since 2.34 names it
	older := filepath.Join(c.settings.LocalNARCache, info.Path.HashPart()+".nar") // as Nix up to 2.26 does
	for _, name := range []string{kept, older} {
		if a, err := c.openKept(ctx, info, name); err == nil {
			return a, nil
		} else if !errors.Is(err, os.ErrNotExist) {
			c.settings.Logger.WarnContext(ctx, "fetching again what was kept", "file", name, "error", err)
		}
	}
	if err := os.MkdirAll(c.settings.LocalNARCache, 0o755); err != nil {
		return nil, err
	}
	return c.fetchFS(ctx, info, c.settings.LocalNARCache, kept)
}

// openKept opens an archive that was fetched earlier, and verifies it.
func (c *Cache) openKept(ctx context.Context, info *narinfo.NarInfo, name string) (*ArchiveFS, error) {
	f, err := openRegular(name)
	if err != nil {
		return nil, err
	}
	in := &intake{claims: &info.PathInfo, staged: io.Discard, strict: c.requiresStrict(&info.PathInfo), listing: true, compression: codec.None}
	found, err := in.plain(ctx, copyOf(f))
	if err == nil {
		err = found.verify(&info.PathInfo)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &ArchiveFS{FS: nar.NewFS(f, found.listing), Info: info, Listing: found.listing, Verified: true, close: f.Close}, nil
}

// openRegular opens a regular file. If a named pipe has the name, it fails and
// does not wait for the pipe's writer.
func openRegular(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: not a regular file (%s)", name, info.Mode().Type())
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// fetchFS fetches an archive into a file in dir. The file gets the name when it
// is complete; without a name, closing the file removes it.
func (c *Cache) fetchFS(ctx context.Context, info *narinfo.NarInfo, dir, name string) (*ArchiveFS, error) {
	r, err := c.OpenNAR(ctx, info)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	f, err := os.CreateTemp(dir, "nixs3-*.nar")
	if err != nil {
		return nil, err
	}
	end := func() error { return discard(f) }
	if name == "" {
		// Where a file in use cannot be removed, Close does it.
		_ = os.Remove(f.Name())
	}
	lw := nar.NewListingWriter()
	_, err = io.Copy(io.MultiWriter(f, lw), r)
	if err == nil {
		err = lw.Close()
	}
	if err == nil && name != "" {
		if err = os.Rename(f.Name(), name); err == nil {
			end = f.Close
		}
	}
	if err != nil {
		return nil, errors.Join(naming.Error("archive of "+info.Path.String(), info.Path.String(), err), end())
	}
	return &ArchiveFS{FS: nar.NewFS(f, lw.Listing()), Info: info, Listing: lw.Listing(), Verified: true, close: end}, nil
}
