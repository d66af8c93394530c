package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"example.com/nixs3/nar"
	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/codec"
	"example.com/nixs3/store/layout"
)

func debugFiles(l *nar.Listing) map[string]string { return store.DebugFiles(l) }

// receiveListing notes that a path shall have a listing. What is stored is the
// listing that the archive has, which is known when the narinfo comes.
func (p *receiver) receiveListing(ctx context.Context, key string, data []byte) (created bool, err error) {
	var l nar.Listing
	if err := json.Unmarshal(data, &l); err != nil {
		return false, refusef(http.StatusBadRequest, "%v", err)
	}
	hashPart, _ := layout.ParseListingKey(key)
	p.listings.put(p.listings.now(), hashPart, struct{}{}, 1, 24*time.Hour)
	narKey := layout.NarInfoKey(hashPart)
	o, err := p.lookup(ctx, target{kind: layout.NarInfo, key: narKey, ref: narKey})
	if isAbsent(err) {
		return true, nil
	}
	if err != nil {
		return false, failure{err}
	}
	if _, err := fileHashOf(o.url); err != nil {
		return false, nil // the path was not pushed here
	}
	f, err := p.factOf(ctx, o.url)
	if err != nil {
		return false, err
	}
	return true, p.storeListing(ctx, hashPart, f)
}

func (p *receiver) storeListing(ctx context.Context, hashPart string, f *fact) error {
	if f.listing == nil {
		return nil
	}
	key := layout.ListingKey(hashPart)
	defer p.forget(key)
	return p.putEncoded(ctx, key, f.listing, p.cache.Settings().ListingCompression)
}

func (p *receiver) putEncoded(ctx context.Context, key string, data []byte, encoding string) error {
	var buf bytes.Buffer
	enc, err := codec.NewWriter(encoding, &buf, codec.WriterOptions{})
	if err != nil {
		return err
	}
	if _, err := enc.Write(data); err != nil {
		return err
	}
	if err := enc.Close(); err != nil {
		return err
	}
	opts := blob.PutOptions{ContentType: layout.KindOf(key).ContentType(), ContentEncoding: codec.ContentEncoding(encoding)}
	if _, err := p.bucket.Put(ctx, key, bytes.NewReader(buf.Bytes()), opts); err != nil {
		return failure{err}
	}
	return nil
}

// pendingLinks are links to debug files whose archives have not come yet.
type pendingLinks struct {
	mu        sync.Mutex
	byArchive map[string]map[string]debugLink // archive to key of the link
	n         int
}

const maxPendingLinks = 100_000

func (l *pendingLinks) add(archive, key string, link debugLink) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n >= maxPendingLinks {
		l.byArchive, l.n = nil, 0 // of pushes that never ended
	}
	if l.byArchive == nil {
		l.byArchive = map[string]map[string]debugLink{}
	}
	if l.byArchive[archive] == nil {
		l.byArchive[archive] = map[string]debugLink{}
	}
	l.byArchive[archive][key] = link
	l.n++
	return true
}

func (l *pendingLinks) take(archive string) map[string]debugLink {
	l.mu.Lock()
	defer l.mu.Unlock()
	links := l.byArchive[archive]
	delete(l.byArchive, archive)
	l.n -= len(links)
	return links
}

// receiveLink takes in a link to a debug file. Nix sends it before the archive,
// so it waits for that where it has to.
func (p *receiver) receiveLink(ctx context.Context, key string, data []byte) (created bool, err error) {
	var link debugLink
	if err := json.Unmarshal(data, &link); err != nil {
		return false, refusef(http.StatusBadRequest, "%v", err)
	}
	archive, err := archiveOf(link)
	if err != nil {
		return false, refusef(http.StatusBadRequest, "%v", err)
	}
	if _, err := fileHashOf(archive); err != nil {
		return false, err
	}
	if _, err := p.bucket.Head(ctx, archive); isAbsent(err) {
		p.links.add(archive, key, link)
		return true, nil
	}
	f, err := p.factOf(ctx, archive)
	if err != nil {
		return false, err
	}
	return true, p.storeLink(ctx, key, link, f)
}

// storeLinks stores the links that waited for an archive.
func (p *receiver) storeLinks(ctx context.Context, archive string, f *fact) error {
	for key, link := range p.links.take(archive) {
		if err := p.storeLink(ctx, key, link, f); err != nil {
			return err
		}
	}
	return nil
}

func (p *receiver) storeLink(ctx context.Context, key string, link debugLink, f *fact) error {
	id := strings.TrimSuffix(strings.TrimPrefix(key, layout.DebugInfoPrefix), ".debug")
	if f.debugFiles[link.Member] != id {
		return refusef(http.StatusUnprocessableEntity, "%s: the archive has no debug file of this build ID at %q", key, link.Member)
	}
	text, err := json.Marshal(link)
	if err != nil {
		return err
	}
	defer p.forget(key)
	return p.putEncoded(ctx, key, text, codec.None)
}

// receiveLog takes in a build log, of which nothing can be verified.
func (p *receiver) receiveLog(r *http.Request, key string, log io.Reader) (created bool, err error) {
	drv, err := storepath.ParseBase(strings.TrimPrefix(key, layout.LogPrefix))
	if err != nil {
		return false, refusef(http.StatusBadRequest, "%v", err)
	}
	if err := p.intake.PutLog(r.Context(), drv, log); err != nil {
		return false, err
	}
	p.forget(key)
	return true, nil
}

// receiveRealisation takes in a realisation whose output is visible.
func (p *receiver) receiveRealisation(ctx context.Context, key string, data []byte) (created bool, err error) {
	id, err := narinfo.ParseRealisationKey(key)
	if err != nil {
		return false, refusef(http.StatusBadRequest, "%v", err)
	}
	r, err := narinfo.ParseRealisation(id, data)
	if err != nil {
		return false, refusef(http.StatusBadRequest, "%v", err)
	}
	if len(p.keys) > 0 {
		if err := p.keys.VerifyRealisation(r); err != nil {
			return false, refusef(http.StatusForbidden, "%v", err)
		}
	}
	switch seen, err := p.visible(ctx, r.OutPath); {
	case err != nil:
		return false, failure{err}
	case !seen:
		return false, refusef(http.StatusConflict, "the output %s is not here: push it first", r.OutPath)
	}
	defer p.forget(key)
	if err := p.intake.PutRealisation(ctx, r); err != nil {
		return false, failure{err}
	}
	return true, nil
}
