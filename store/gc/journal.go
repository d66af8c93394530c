package gc

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/codec"
	"example.com/nixs3/store/layout"
)

// The journal of a run holds what the run makes invisible, as it was, and is
// whole before the first deletion: parts of JSON lines, each a gzip file, and
// last an index. Entries rise by their keys.
//
//	nixs3/collect/runs/<run>/<number>
//	nixs3/collect/runs/<run>/index
const (
	runPrefix = layout.ControlPrefix + "collect/runs/"
	indexName = "/index"

	partEntries = 4096
	partBytes   = 16 << 20

	// partLimit and indexLimit bound what is read, in bytes when decompressed.
	partLimit  = partBytes + 16<<20
	indexLimit = 64 << 20
)

// entry is an object that a run made invisible.
type entry struct {
	Key      string    `json:"key"`
	Type     string    `json:"type,omitempty"`
	Encoding string    `json:"encoding,omitempty"`
	Body     []byte    `json:"body"` // as it was stored
	Added    time.Time `json:"added"`
	FileSize int64     `json:"fileSize,omitempty"` // of the archive as stored
}

// info parses the narinfo of an entry.
func (e *entry) info() (*narinfo.NarInfo, error) {
	text, err := codec.DecodeContent(e.Encoding, e.Body, layout.NarInfo.Limit())
	if err != nil {
		return nil, err
	}
	return narinfo.Parse(text)
}

// index describes a journal.
type index struct {
	Run    string      `json:"run"`
	Begun  time.Time   `json:"begun"` // by the server's clock
	Holder string      `json:"holder"`
	Grace  int64       `json:"grace"` // seconds for which the archives stay at least
	Parts  []indexPart `json:"parts"`
}

// indexPart is a part of a journal.
type indexPart struct {
	First   string `json:"first"` // keys
	Last    string `json:"last"`
	Entries int    `json:"entries"`
}

func (x *index) entries() (n int) {
	for _, p := range x.Parts {
		n += p.Entries
	}
	return n
}

// until is the time up to which the run can be undone for certain.
func (x *index) until() time.Time { return x.Begun.Add(time.Duration(x.Grace) * time.Second) }

func partKey(run string, n int) string { return fmt.Sprintf("%s%s/%05d", runPrefix, run, n) }

// journal writes the journal of the run: the narinfos of ids and the
// realisations. A narinfo that has changed or gone since it was looked at, or
// cannot be read, is not in it, and must not be deleted: those are returned.
func (c *collector) journal(ctx context.Context, ids []id, realisations []blob.Attrs) (spare []id, err error) {
	byKey := map[string]id{}
	var keys []string
	for _, i := range ids {
		key := layout.NarInfoKey(c.g.hash[i].String())
		byKey[key] = i
		keys = append(keys, key)
	}
	for _, attrs := range realisations {
		keys = append(keys, attrs.Key)
	}
	slices.Sort(keys)
	x := index{Run: c.run, Begun: c.report.Begun, Holder: c.lock.state.Holder, Grace: int64(c.opts.Grace / time.Second)}
	var part []entry
	size, done := 0, 0
	flush := func() error {
		if len(part) == 0 {
			return nil
		}
		if err := c.putPart(ctx, len(x.Parts), part); err != nil {
			return err
		}
		x.Parts = append(x.Parts, indexPart{part[0].Key, part[len(part)-1].Key, len(part)})
		part, size = nil, 0
		return nil
	}
	for batch := range slices.Chunk(keys, partEntries/8) {
		entries, err := c.readEntries(ctx, batch)
		if err != nil {
			return nil, err
		}
		for n, e := range entries {
			i, isPath := byKey[batch[n]]
			if e == nil {
				if isPath {
					spare = append(spare, i)
				}
				continue
			}
			if isPath {
				e.FileSize = c.g.fileSize(i)
			}
			if part, size = append(part, *e), size+len(e.Body); len(part) == partEntries || size >= partBytes/2 {
				if err := flush(); err != nil {
					return nil, err
				}
			}
		}
		done += len(batch)
		c.opts.Progress(Progress{Step: Journaling, Done: done, Total: len(keys)})
	}
	if err := flush(); err != nil {
		return nil, err
	}
	data, err := json.Marshal(x)
	if err != nil {
		return nil, err
	}
	if err := c.stillLocked(); err != nil {
		return nil, err
	}
	_, err = c.b.Put(ctx, runPrefix+c.run+indexName, bytes.NewReader(data), controlType)
	return spare, err
}

// readEntries reads objects for the journal. The entry of one that is not as it
// was looked at is nil.
func (c *collector) readEntries(ctx context.Context, keys []string) ([]*entry, error) {
	entries := make([]*entry, len(keys))
	places := make([]int, len(keys))
	for n := range places {
		places[n] = n
	}
	err := inParallel(ctx, places, func(ctx context.Context, n int) error {
		key := keys[n]
		kind := layout.KindOf(key)
		raw, text, attrs, err := readSmall(ctx, c.b, key, kind)
		switch {
		case errors.Is(err, blob.ErrNotFound):
			return nil
		case err != nil:
			return err
		}
		if kind == layout.NarInfo {
			info, err := narinfo.Parse(text)
			if err != nil || !c.unchanged(key, info, attrs) {
				return nil
			}
		}
		entries[n] = &entry{Key: key, Type: attrs.ContentType, Encoding: attrs.ContentEncoding, Body: raw, Added: attrs.ModTime}
		return nil
	})
	return entries, err
}

// unchanged reports whether a narinfo is the one that the graph knows.
func (c *collector) unchanged(key string, info *narinfo.NarInfo, attrs blob.Attrs) bool {
	base, _ := layout.ParseNarInfoKey(key)
	h, _ := parseHashPart(base)
	i := c.g.find(h)
	if i == noID || len(info.References) < len(c.g.references(i)) {
		return false
	}
	etag := etagOf(attrs)
	return etag == 0 || etag == c.g.etag[i]
}

func (c *collector) putPart(ctx context.Context, n int, part []entry) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	for i := range part {
		if err := enc.Encode(&part[i]); err != nil {
			return err
		}
	}
	data, err := compressed(buf.Bytes())
	if err != nil {
		return err
	}
	if err := c.stillLocked(); err != nil {
		return err
	}
	_, err = c.b.Put(ctx, partKey(c.run, n), bytes.NewReader(data), binaryType)
	return err
}

// ErrNoRun is a run that the cache has no journal of: it never was, swept
// nothing, or is longer ago than the grace period.
var ErrNoRun = errors.New("no journal of the run")

func isNoRun(err error) bool { return errors.Is(err, ErrNoRun) }

func readIndex(ctx context.Context, b blob.Bucket, run string) (*index, error) {
	key := runPrefix + run + indexName
	if layout.KindOf(key) != layout.Control || strings.Contains(run, "/") {
		return nil, fmt.Errorf("%w %q", ErrNoRun, run)
	}
	data, _, err := blob.ReadAll(ctx, b, key, indexLimit)
	if isMissing(err) {
		return nil, fmt.Errorf("%w %q in %s", ErrNoRun, run, b)
	}
	if err != nil {
		return nil, err
	}
	x, err := parseIndex(data)
	if err == nil && x.Run != run {
		err = fmt.Errorf("it is that of the run %q", x.Run)
	}
	if err != nil {
		return nil, fmt.Errorf("journal %s in %s: %w", key, b, err)
	}
	return x, nil
}

func parseIndex(data []byte) (*index, error) {
	var x index
	if err := json.Unmarshal(data, &x); err != nil {
		return nil, err
	}
	if x.Grace < 0 || x.Grace > maxRootTTL {
		return nil, fmt.Errorf("expected a grace of 0 to %d seconds, got %d", maxRootTTL, x.Grace)
	}
	last := ""
	for n, p := range x.Parts {
		if p.First <= last || p.Last < p.First || p.Entries <= 0 {
			return nil, fmt.Errorf("its part %d is out of order", n)
		}
		last = p.Last
	}
	return &x, nil
}

// readPart calls visit for each entry of a part of a journal.
func readPart(ctx context.Context, b blob.Bucket, run string, n int, visit func(*entry) error) error {
	key := partKey(run, n)
	data, _, err := blob.ReadAll(ctx, b, key, partLimit)
	if err != nil {
		return err
	}
	entries, err := parsePart(data)
	if err != nil {
		return fmt.Errorf("journal %s in %s: %w", key, b, err)
	}
	for i := range entries {
		if err := visit(&entries[i]); err != nil {
			return err
		}
	}
	return nil
}

func parsePart(data []byte) ([]entry, error) {
	data, err := decompressed(data, partLimit)
	if err != nil {
		return nil, err
	}
	var entries []entry
	dec := json.NewDecoder(bufio.NewReader(bytes.NewReader(data)))
	for {
		var e entry
		if err := dec.Decode(&e); err != nil {
			if errors.Is(err, io.EOF) {
				return entries, nil
			}
			return nil, err
		}
		kind := layout.KindOf(e.Key)
		if kind != layout.NarInfo && kind != layout.Realisation || int64(len(e.Body)) > kind.Limit() {
			return nil, fmt.Errorf("it has an entry with the key %.100q, expected a narinfo or a realisation", e.Key)
		}
		entries = append(entries, e)
	}
}

// journals returns the indexes of all journals, the newest first.
func journals(ctx context.Context, b blob.Bucket) ([]*index, error) {
	runs, err := listRuns(ctx, b)
	if err != nil {
		return nil, err
	}
	var found []*index
	for _, run := range runs {
		x, err := readIndex(ctx, b, run)
		if isNoRun(err) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		found = append(found, x)
	}
	return found, nil
}
