package serve

import (
	"context"
	"net/http"
	"time"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/layout"
)

// factTTL is how long the narinfo of an archive may take to come before the
// archive is read back.
const factTTL = 6 * time.Hour

// receiveArchive takes in an archive. It is hashed, decompressed and checked
// while it streams into the bucket, and gets its key when all is well.
func (p *receiver) receiveArchive(r *http.Request, key string, body *pushBody) (created bool, err error) {
	want, err := fileHashOf(key)
	if err != nil {
		return false, err
	}
	if to := p.elsewhere(r, key, want); to != "" {
		p.forget(key)
		return false, &moved{to}
	}
	// The client sends nothing before the first Read, if it asked with Expect:
	// 100-continue.
	waiting, cancel := context.WithTimeout(r.Context(), p.limits.Request)
	defer cancel()
	if err := p.places.Acquire(waiting, 1); err != nil {
		return false, failure{err}
	}
	defer p.places.Release(1)
	staged, err := p.intake.Stage(r.Context(), max(r.ContentLength, 0))
	if err != nil {
		return false, failure{err}
	}
	defer staged.Close()
	file, err := decodedBody(r, body, p.limits.ArchiveSize)
	if err != nil {
		return false, err
	}
	defer file.Close()
	f, err := p.examine(file, staged, key, want)
	p.metrics.received.Add(float64(body.n))
	if err != nil {
		return false, err
	}
	digest := [32]byte(want.Digest())
	if _, err := staged.Commit(key, blob.PutOptions{ContentType: layout.Archive.ContentType(), SHA256: &digest}); err != nil {
		return false, failure{err}
	}
	p.remember(key, f)
	p.forget(key)
	return true, p.storeLinks(r.Context(), key, f)
}
