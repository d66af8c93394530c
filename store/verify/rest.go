package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/codec"
	"example.com/nixs3/store/internal/flow"
	"example.com/nixs3/store/layout"
)

// cacheInfo checks the cache's description of itself.
func (c *checker) cacheInfo(ctx context.Context, present bool) error {
	key := layout.CacheInfoKey
	if present && c.opts.Depth < Metadata {
		return nil
	}
	o := c.small(ctx, key)
	r := result{record: record{Key: key, Depth: c.opts.Depth}, index: -1, resumed: true, err: o.err}
	switch {
	case o.err != nil:
	case o.missing:
		r.find(CacheInfoMissing, key, "")
	case o.fault != nil:
		r.find(CacheInfoInvalid, key, o.fault.Error())
	default:
		if info, err := narinfo.ParseCacheInfo(o.data); err != nil {
			r.find(CacheInfoInvalid, key, err.Error())
		} else if dir := c.cache.StoreDir(); info.StoreDir != dir {
			r.find(CacheInfoInvalid, key, fmt.Sprintf("expected the store directory %s, got %q", dir, info.StoreDir))
		}
	}
	return c.settle(r)
}

// rest checks what shows only when all paths were looked at, and the objects
// that belong to none.
func (c *checker) rest(ctx context.Context) error {
	c.settleDisputes()
	for i := range c.indexes() {
		p := &c.survey.paths[i]
		if c.settings.WriteListing && p.listing < 0 && !p.unlistable {
			c.found(Finding{Kind: ListingMissing, Key: layout.ListingKey(p.hashPart)})
		}
		if c.stopped {
			return nil
		}
	}
	for _, hashPart := range c.survey.orphaned {
		if c.opts.selects(hashPart) {
			c.found(Finding{Kind: ListingOrphaned, Key: layout.ListingKey(hashPart)})
		}
	}
	if c.opts.whole() {
		if err := c.orphans(ctx); err != nil || c.stopped {
			return err
		}
		if err := c.uploads(ctx); err != nil || c.stopped {
			return err
		}
	}
	for _, objects := range []struct {
		attrs []blob.Attrs
		check func(context.Context, *result)
	}{
		{c.survey.logs, c.log},
		{c.survey.realisations, c.realisation},
		{c.survey.debugInfo, c.debugLink},
	} {
		if err := c.objects(ctx, objects.attrs, objects.check); err != nil || c.stopped {
			return err
		}
	}
	c.debugLinksMissing()
	if c.opts.Depth >= Contents && c.opts.whole() && !c.stopped {
		return c.wholeIndexes(ctx)
	}
	return nil
}

// objects checks objects that belong to no path.
func (c *checker) objects(ctx context.Context, attrs []blob.Attrs, check func(context.Context, *result)) error {
	return c.settleAll(flow.Map(ctx, c.workers(), flow.Values(c.selected(attrs)), func(ctx context.Context, a blob.Attrs) (result, error) {
		if rec, ok := c.resumeObject(a); ok {
			return result{record: rec, index: -1, resumed: true}, nil
		}
		r := result{record: record{Key: a.Key, State: c.objectState(a), Depth: c.opts.Depth}, index: -1}
		check(ctx, &r)
		return r, context.Cause(ctx)
	}))
}

// selected returns those of the objects that the options select.
func (c *checker) selected(attrs []blob.Attrs) []blob.Attrs {
	since := unix(c.opts.Since)
	return slices.DeleteFunc(slices.Clone(attrs), func(a blob.Attrs) bool {
		return !c.opts.selects(a.Key) || !c.opts.Since.IsZero() && unix(a.ModTime) < since
	})
}

// resumeObject returns what the journal says of an object that belongs to no
// path, where that still holds.
func (c *checker) resumeObject(a blob.Attrs) (record, bool) {
	rec, ok := c.known[a.Key]
	return rec, ok && rec.Depth >= c.opts.Depth && rec.State == c.objectState(a)
}

func (c *checker) objectState(a blob.Attrs) string {
	return strconv.FormatUint(stateOf(a)^c.keys, 16)
}

// orphans finds the archives that no narinfo refers to. At the depth Files they
// are read too, since a writer may rely on what their names say.
func (c *checker) orphans(ctx context.Context) error {
	var attrs []blob.Attrs
	for _, a := range c.survey.archives {
		if a.used || c.stopped {
			continue
		}
		c.found(Finding{Kind: ArchiveOrphaned, Key: a.key})
		attrs = append(attrs, blob.Attrs{Key: a.key, Size: a.size, ETag: strconv.FormatUint(a.state, 16)})
	}
	if c.stopped || c.opts.Depth < Files {
		return nil
	}
	return c.objects(ctx, attrs, func(ctx context.Context, r *result) {
		c.file(ctx, withInfo(r, &narinfo.NarInfo{URL: r.Key}))
	})
}

func withInfo(r *result, info *narinfo.NarInfo) *result {
	r.info = info
	return r
}

// stale is the age from which an unfinished upload is not one that a writer is
// at work on.
const stale = 24 * time.Hour

func isStale(u blob.Upload) bool { return time.Since(u.Initiated) > stale }

func (c *checker) uploads(ctx context.Context) error {
	uploader, ok := blob.As[blob.UploadCleaner](c.bucket)
	if !ok {
		return nil
	}
	for u, err := range uploader.Uploads(ctx, "") {
		switch {
		case errors.Is(err, errors.ErrUnsupported):
			return nil
		case err != nil:
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			c.yield(Finding{}, &UncheckedError{"unfinished uploads", err})
			return nil
		case isStale(u) && layout.KindOf(u.Key) != layout.Other:
			c.found(Finding{Kind: UploadUnfinished, Key: u.Key, Detail: fmt.Sprintf("upload %s of %s", u.ID, u.Initiated.UTC().Format(time.RFC3339))})
		}
		if c.stopped {
			return nil
		}
	}
	return nil
}

// maxLog bounds a build log in bytes, after decompression.
const maxLog = 16 << 30

// log reads a build log to its end.
func (c *checker) log(ctx context.Context, r *result) {
	obj, err := c.bucket.Get(ctx, r.Key, blob.GetOptions{})
	if err != nil {
		r.gone(err)
		return
	}
	defer obj.Body.Close()
	body := &watched{r: obj.Body}
	n, err := decodeAll(obj.ContentEncoding, body)
	r.bytes += n
	switch {
	case body.err != nil:
		r.err = &UncheckedError{r.Key, body.err}
	case err != nil:
		r.find(LogInvalid, r.Key, err.Error())
	}
}

// gone notes that an object could not be opened. One that went since it was
// listed is not a fault.
func (r *result) gone(err error) {
	if !errors.Is(err, blob.ErrNotFound) {
		r.err = &UncheckedError{r.Key, err}
	}
}

// realisation checks that a realisation is that of its key and that its path is
// in the cache.
func (c *checker) realisation(ctx context.Context, r *result) {
	id, err := narinfo.ParseRealisationKey(r.Key)
	if err != nil {
		return // KindOf has parsed it
	}
	o := c.small(ctx, r.Key)
	switch {
	case o.err != nil || o.missing:
		r.err = o.err
		return
	case o.fault != nil:
		r.find(RealisationInvalid, r.Key, o.fault.Error())
		return
	}
	real, err := narinfo.ParseRealisation(id, o.data)
	if err != nil {
		r.find(RealisationInvalid, r.Key, err.Error())
		return
	}
	r.Path = real.OutPath
	if c.survey.path(real.OutPath.HashPart()) < 0 {
		r.find(RealisationInvalid, r.Key, fmt.Sprintf("its path %s is not in the cache", real.OutPath))
	}
	fingerprint, err := real.Fingerprint()
	if err != nil {
		r.find(RealisationInvalid, r.Key, err.Error())
		return
	}
	c.signatures(ctx, r, fingerprint, real.Signatures)
}

// debugLink checks that a link leads to the debug file with its build ID. Which
// files there are is known when all paths were read.
func (c *checker) debugLink(ctx context.Context, r *result) {
	o := c.small(ctx, r.Key)
	if o.err != nil || o.missing {
		r.err = o.err
		return
	}
	files := c.debug[buildID(r.Key)]
	if o.fault == nil {
		var link debugInfo
		if err := json.Unmarshal(o.data, &link); err != nil {
			o.fault = err
		} else if files[link.file()].IsZero() && (files != nil || c.opts.whole()) {
			o.fault = fmt.Errorf("%s has no member %q with that build ID", link.Archive, link.Member)
		}
	}
	if o.fault != nil {
		r.Path = anyPath(files)
		r.find(DebugInfoInvalid, r.Key, o.fault.Error())
	}
}

// anyPath returns the least of the paths that have a debug file.
func anyPath(files map[debugFile]storepath.Path) storepath.Path {
	paths := slices.SortedFunc(maps.Values(files), storepath.Path.Compare)
	if len(paths) == 0 {
		return storepath.Path{}
	}
	return paths[0]
}

// debugInfo is a link to a debug file.
type debugInfo struct {
	Archive string `json:"archive"` // relative to the link
	Member  string `json:"member"`
}

func (d debugInfo) file() debugFile {
	key, err := layout.ReferenceKey(path.Join(layout.DebugInfoPrefix, d.Archive))
	if err != nil {
		return debugFile{}
	}
	return debugFile{key, d.Member}
}

// buildID returns the build ID in the key of a link.
func buildID(key string) string {
	return strings.TrimSuffix(strings.TrimPrefix(key, layout.DebugInfoPrefix), ".debug")
}

// debugLinksMissing finds debug files without a link, where the cache has
// links.
func (c *checker) debugLinksMissing() {
	if !c.settings.IndexDebugInfo {
		return
	}
	linked := map[string]bool{}
	for _, a := range c.survey.debugInfo {
		linked[buildID(a.Key)] = true
	}
	for _, id := range slices.Sorted(maps.Keys(c.debug)) {
		if !linked[id] && !c.stopped {
			c.found(Finding{Kind: DebugInfoMissing, Key: layout.DebugInfoKey(id), Path: anyPath(c.debug[id])})
		}
	}
}

// watched passes on what it reads and keeps the error that it ends with.
type watched struct {
	r   io.Reader
	err error
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

// decodeAll decodes an object to its end, and returns how many bytes came out.
func decodeAll(encoding string, body io.Reader) (int64, error) {
	r, err := codec.NewContentReader(encoding, body, codec.ReaderOptions{MaxSize: maxLog})
	if err != nil {
		return 0, err
	}
	defer r.Close()
	return io.Copy(io.Discard, r)
}
