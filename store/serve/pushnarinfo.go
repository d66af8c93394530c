package serve

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/layout"
)

// receiveNarInfo publishes a path. Nothing that it claims is believed: the
// archive must be stored and be what the narinfo says, the references must be
// visible, and a trusted key must have signed where that is asked for.
func (p *receiver) receiveNarInfo(ctx context.Context, key string, text []byte) (created bool, err error) {
	info, err := narinfo.Parse(text)
	if err != nil {
		return false, refusef(http.StatusBadRequest, "%v", err)
	}
	if err := p.checkForm(key, info); err != nil {
		return false, err
	}
	if len(p.keys) > 0 {
		if err := p.keys.Verify(&info.PathInfo); err != nil {
			return false, refusef(http.StatusForbidden, "%v", err)
		}
	}
	session, err := p.intake.BeginStored(ctx, info)
	if err != nil {
		return false, failure{err}
	}
	defer func() {
		var no *refusal
		if errors.As(err, &no) {
			session.End(ctx, nil) // nothing is on its way
			return
		}
		session.End(ctx, err)
	}()
	f, err := p.factOf(ctx, info.URL)
	if err != nil {
		return false, err
	}
	if err := p.checkArchive(ctx, info, f); err != nil {
		return false, err
	}
	if err := p.checkReferences(ctx, info, session.Leased()); err != nil {
		return false, err
	}
	hashPart := info.Path.HashPart()
	if _, wanted := p.listings.get(hashPart); wanted || p.cache.Settings().WriteListing {
		if err := p.storeListing(ctx, hashPart, f); err != nil {
			return false, err
		}
	}
	return p.publish(ctx, key, info, session)
}

// checkForm checks what needs no request.
func (p *receiver) checkForm(key string, info *narinfo.NarInfo) error {
	if narKey := layout.NarInfoKey(info.Path.HashPart()); narKey != key {
		return refusef(http.StatusUnprocessableEntity, "a narinfo of %s has the key %s, got %s", info.Path, narKey, key)
	}
	if info.StoreDir != p.cache.StoreDir() {
		return refusef(http.StatusConflict, "this cache is for %s, got a path of %s", p.cache.StoreDir(), info.StoreDir)
	}
	file, err := fileHashOf(info.URL)
	if err != nil {
		return err
	}
	if info.FileHash.Algorithm() == nixhash.SHA256 && info.FileHash != file {
		return refusef(http.StatusUnprocessableEntity, "FileHash is %s, but URL names %s", info.FileHash, file)
	}
	return nil
}

// checkArchive compares the claims with what was found in the archive.
func (p *receiver) checkArchive(ctx context.Context, info *narinfo.NarInfo, f *fact) error {
	lie := func(field string, claimed, found any) error {
		return refusef(http.StatusUnprocessableEntity, "%s: %s: expected %v, got %v", info.Path, field, found, claimed)
	}
	switch {
	case info.NarHash != f.narHash:
		return lie("NarHash", info.NarHash, f.narHash)
	case info.NarSize != f.narSize:
		return lie("NarSize", info.NarSize, f.narSize)
	case info.FileSize > 0 && info.FileSize != f.fileSize:
		return lie("FileSize", info.FileSize, f.fileSize)
	case info.Compression != f.compression:
		return lie("Compression", info.Compression, f.compression)
	}
	info.FileSize = f.fileSize
	info.FileHash, _ = fileHashOf(info.URL)
	if info.CA.IsZero() {
		return nil
	}
	if err := info.VerifyContentAddress(); err != nil {
		return refusef(http.StatusUnprocessableEntity, "%v", err)
	}
	if info.CA.Method == storepath.MethodNAR && info.CA.Hash == info.NarHash && !slices.Contains(info.References, info.Path) {
		return nil
	}
	// Other content addresses are of bytes that only a second reading hashes.
	r, err := p.intake.OpenNAR(ctx, info)
	if err != nil {
		return failure{err}
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, r)
	if errors.Is(err, store.ErrMismatch) || errors.Is(err, store.ErrUntrusted) {
		return refusef(http.StatusUnprocessableEntity, "%v", err)
	}
	if err != nil {
		return failure{err}
	}
	return nil
}

// referencesAtOnce bounds the requests for the references of one path.
const referencesAtOnce = 16

// checkReferences refuses a path whose references clients of the gateway do not
// see. Under a lease nothing that was remembered counts.
func (p *receiver) checkReferences(ctx context.Context, info *narinfo.NarInfo, leased bool) error {
	var mu sync.Mutex
	var absent []string
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(referencesAtOnce)
	for _, ref := range info.References {
		if ref == info.Path {
			continue
		}
		g.Go(func() error {
			if leased {
				p.forget(layout.NarInfoKey(ref.HashPart()))
			}
			seen, err := p.visible(ctx, ref)
			if err == nil && !seen {
				mu.Lock()
				defer mu.Unlock()
				absent = append(absent, ref.String())
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return failure{err}
	}
	if len(absent) == 0 {
		return nil
	}
	slices.Sort(absent)
	return refusef(http.StatusConflict, "%s: these references are not here, push them first: %s", info.Path, strings.Join(absent, " "))
}

// visible reports whether clients of the gateway see a path. That it was absent
// a moment ago is not believed: another instance may have it since.
func (p *receiver) visible(ctx context.Context, path storepath.Path) (bool, error) {
	key := layout.NarInfoKey(path.HashPart())
	p.misses.drop(key)
	o, err := p.lookup(ctx, target{kind: layout.NarInfo, key: key, ref: key})
	if isAbsent(err) {
		return false, nil
	}
	return err == nil && o.info.Path == path, err
}

// publish makes a checked path visible. Of several pushes of one path the first
// stays, and gains the signatures of the others over the same contents.
func (p *receiver) publish(ctx context.Context, key string, info *narinfo.NarInfo, session *store.Session) (created bool, err error) {
	got, err := p.intake.PublishStored(ctx, info, store.AddOptions{ReferencesPresent: true, Session: session})
	if err != nil {
		return false, failure{err}
	}
	defer p.forget(key)
	if got.URL == info.URL && hasAll(got.Signatures, info.Signatures) {
		return true, nil
	}
	if got.NarHash != info.NarHash || got.NarSize != info.NarSize || len(got.Signatures)+len(info.Signatures) > maxSignatures {
		p.log.InfoContext(ctx, "path is there with other contents", "path", info.Path.String())
		return false, nil
	}
	more, err := store.SignaturesOf(&info.PathInfo)
	if err == nil {
		_, err = p.intake.AddSignatures(ctx, info.Path, more...)
	}
	if errors.Is(err, store.ErrMismatch) { // in the references
		p.log.InfoContext(ctx, "path is there with another description", "path", info.Path.String())
		return false, nil
	}
	if err != nil {
		return false, failure{err}
	}
	return false, nil
}

// maxSignatures bounds the signatures that a path collects.
const maxSignatures = 64

func hasAll(have, want []narinfo.Signature) bool {
	for _, sig := range want {
		if !slices.Contains(have, sig) {
			return false
		}
	}
	return true
}
