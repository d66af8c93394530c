package serve

import (
	"context"
	"net/http"
	"strings"
	"time"

	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/store/layout"
)

// probeKey is the object with which the gateway finds out whether the server
// enforces the content of a presigned URL.
const probeKey = layout.ControlPrefix + "serve/probe"

// probeAgain is how long pushes stay with the gateway after a probe that failed.
const probeAgain = time.Minute

// elsewhere returns the URL to which a client may push an archive, "" where the
// gateway takes it in itself. A client that has begun to send would have to
// begin again, which Nix before 2.29 cannot, so only one that waits is sent on.
func (p *receiver) elsewhere(r *http.Request, key string, hash nixhash.Hash) string {
	d := p.past
	if d == nil || d.uploads == nil || r.ContentLength <= 0 || !strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
		return ""
	}
	presigned, err := d.uploads.PresignContent(r.Context(), key, [32]byte(hash.Digest()), d.ttl)
	to, err := suitable(r, presigned, err)
	if err == nil && to != "" && !d.enforced(r.Context(), p) {
		return ""
	}
	if err != nil {
		p.log.WarnContext(r.Context(), "an archive is received here", "key", key, "error", err)
		return ""
	}
	return to
}

// enforced reports whether the server takes no other content than a URL allows.
// It asks once.
func (d *redirector) enforced(ctx context.Context, p *receiver) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.probed.IsZero() && (!d.failed || time.Since(d.probed) < probeAgain) {
		return d.pins
	}
	ctx, cancel := context.WithTimeout(ctx, p.limits.Request)
	defer cancel()
	pins, err := d.uploads.PinsContent(ctx, probeKey)
	d.pins, d.failed, d.probed = pins && err == nil, err != nil, time.Now()
	switch {
	case err != nil:
		p.log.WarnContext(ctx, "pushes are not redirected: the server did not say whether it enforces their content", "error", err)
	case !pins:
		p.log.WarnContext(ctx, "pushes are not redirected: the server does not enforce their content")
	}
	if err := p.bucket.Delete(ctx, probeKey); err != nil {
		p.log.WarnContext(ctx, "the object of the probe stays", "key", probeKey, "error", err)
	}
	return d.pins
}

// moved is a push that the client is to send elsewhere.
type moved struct{ to string }

func (*moved) Error() string { return "the push goes to the bucket" }
