package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"example.com/nixs3/nar"
	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/layout"
)

// PutSidecars stores the objects that are derived from the listing of a path's
// archive and enabled in the settings: the listing, and links to debug files.
func (c *Cache) PutSidecars(ctx context.Context, info *narinfo.NarInfo, l *nar.Listing) error {
	if c.settings.WriteListing {
		if err := c.putListing(ctx, info.Path, l); err != nil {
			return err
		}
	}
	if !c.settings.IndexDebugInfo {
		return nil
	}
	for member, buildID := range DebugFiles(l) {
		link, err := json.Marshal(struct {
			Archive string `json:"archive"`
			Member  string `json:"member"`
		}{"../" + info.URL, member})
		if err != nil {
			return err
		}
		key := layout.DebugInfoKey(buildID)
		if _, err := c.bucket.Put(ctx, key, bytes.NewReader(link), blob.PutOptions{ContentType: layout.DebugInfo.ContentType()}); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cache) putListing(ctx context.Context, p storepath.Path, l *nar.Listing) error {
	text, err := l.MarshalJSON() // json.Marshal would escape characters that Nix does not
	if errors.Is(err, nar.ErrNotUTF8) {
		// JSON cannot express such names. Like Lix, publish the path without a
		// listing.
		c.settings.Logger.WarnContext(ctx, "no listing written", "path", p.String(), "reason", err)
		return nil
	}
	if err != nil {
		return err
	}
	_, err = c.putSmall(ctx, layout.ListingKey(p.HashPart()), text, c.settings.ListingCompression, blob.PutOptions{ContentType: layout.Listing.ContentType()})
	return err
}

// A separate debug file is named by the build ID of its program.
var (
	buildIDDir  = regexp.MustCompile(`^[0-9a-f]{2}$`)
	buildIDFile = regexp.MustCompile(`^([0-9a-f]{38})\.debug$`)
)

// DebugFiles returns the separate debug files in a listing, to which a cache with
// Settings.IndexDebugInfo has links: member to build ID, in lower-case
// hexadecimal.
func DebugFiles(l *nar.Listing) map[string]string {
	const root = "lib/debug/.build-id"
	files := map[string]string{}
	for path, node := range l.All() {
		rest, ok := strings.CutPrefix(path, root+"/")
		if !ok || node.Type != nar.TypeRegular {
			continue
		}
		dir, file, _ := strings.Cut(rest, "/")
		if m := buildIDFile.FindStringSubmatch(file); m != nil && buildIDDir.MatchString(dir) {
			files[path] = dir + m[1]
		}
	}
	return files
}

// Listing returns the listing of a path's archive: the stored one, or if that
// cannot be read, one made from the fetched and verified archive. No signature
// covers a stored listing. It is an unverified claim of the cache until the files
// that it describes are read.
func (c *Cache) Listing(ctx context.Context, p storepath.Path) (*nar.Listing, error) {
	info, err := c.NarInfo(ctx, p)
	if err != nil {
		return nil, err
	}
	if err := c.trust(&info.PathInfo); err != nil {
		return nil, err
	}
	stored, err := c.storedListing(ctx, p)
	if err == nil {
		return stored, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	if !c.missing(ctx, err) {
		c.settings.Logger.WarnContext(ctx, "listing cannot be read, the archive is", "path", p.String(), "error", err)
	}
	if c.settings.LocalNARCache != "" {
		archive, err := c.openFS(ctx, info)
		if err != nil {
			return nil, err
		}
		return archive.Listing, archive.Close()
	}
	r, err := c.OpenNAR(ctx, info)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	l, err := nar.List(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p, err)
	}
	return l, drain(r)
}

// storedListing reads the listing that is stored beside a narinfo.
func (c *Cache) storedListing(ctx context.Context, p storepath.Path) (*nar.Listing, error) {
	text, _, err := c.getSmall(ctx, layout.ListingKey(p.HashPart()), layout.Listing.Limit())
	if err != nil {
		return nil, err
	}
	var l nar.Listing
	if err := json.Unmarshal(text, &l); err != nil {
		return nil, err
	}
	return &l, nil
}

// drain reads to the end, where a source reports whether its contents are right.
func drain(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}
