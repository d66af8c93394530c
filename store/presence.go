package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/internal/presence"
	"example.com/nixs3/store/layout"
)

// PresenceOptions are the options of PublishPresence.
type PresenceOptions struct {
	// Name is the name of the cache that clients ask for by the parameter
	// presence: 1 to 256 printable characters without spaces. It keeps the index
	// of one cache from being taken for that of another with the same key.
	Name string

	// Lifetime is the time for which clients may use the index, at most 7 days.
	// 0 means a day.
	Lifetime time.Duration

	// Signers sign the index besides those of the cache's settings. At least one
	// is needed.
	Signers []narinfo.Signer
}

// PresenceReport describes an index of paths.
type PresenceReport struct {
	Paths   int
	Bytes   int // of the index
	Expires time.Time
}

// PublishPresence stores a signed index of the paths that the cache has, of 10
// bits a path, under layout.PresenceKey. It lists the cache, a thousand paths per
// request, and replaces the index that there is.
//
// Clients that open the cache with the parameter presence=<name> and a trusted
// key (see Settings.Presence) answer from the index that a path is not there, and
// send no request for it, until the index expires. A path that is added meanwhile
// is not there for them until then. Of the paths that are not there, 1 in 256
// costs a request all the same.
func (c *Cache) PublishPresence(ctx context.Context, opts PresenceOptions) (PresenceReport, error) {
	signers := slices.Concat(c.settings.Signers, opts.Signers)
	if len(signers) == 0 {
		return PresenceReport{}, errors.New("index of paths: expected a key to sign it with, got none")
	}
	if opts.Lifetime == 0 {
		opts.Lifetime = 24 * time.Hour
	}
	x, err := presence.New(opts.Name, c.settings.StoreDir, time.Now(), opts.Lifetime) // before the listing
	if err != nil {
		return PresenceReport{}, err
	}
	var keys []uint64
	for hashPart, err := range c.HashParts(ctx) {
		if err != nil {
			return PresenceReport{}, err
		}
		key, err := presence.Key(hashPart)
		if err != nil {
			return PresenceReport{}, err
		}
		keys = append(keys, key)
	}
	data, err := x.Encode(ctx, keys, signers...)
	if err != nil {
		return PresenceReport{}, err
	}
	if err := c.ensureDescribed(ctx); err != nil {
		return PresenceReport{}, err
	}
	_, err = c.bucket.Put(ctx, layout.PresenceKey, bytes.NewReader(data), blob.PutOptions{ContentType: "application/octet-stream"})
	return PresenceReport{len(keys), len(data), x.Expires}, err
}

// How long a client waits before it looks again for an index that it could not
// use, and for one whose reading its caller has interrupted.
const (
	presenceRetry       = 10 * time.Minute
	presenceInterrupted = time.Minute
)

// presenceIndex is the index of paths that a client uses. Its zero value without
// keys answers nothing.
type presenceIndex struct {
	wrote   atomic.Bool               // this client has changed the cache
	current atomic.Pointer[heldIndex] // nil before the first look
	loading chan struct{}             // held while the index is read
}

// heldIndex is an index, or that there is none, until a time.
type heldIndex struct {
	index *presence.Index // nil if there is none that can be used
	until time.Time
}

// lacks fails with ErrNotFound if the cache's index of paths says that a path is
// not there. nil means that the cache has to be asked.
func (c *Cache) lacks(ctx context.Context, hashPart string) error {
	if c.settings.Presence == "" || c.presence.wrote.Load() {
		return nil
	}
	held := c.presence.current.Load()
	if held == nil || !time.Now().Before(held.until) {
		var err error
		if held, err = c.loadPresence(ctx); err != nil {
			return err
		}
	}
	if held.index == nil {
		return nil
	}
	key, err := presence.Key(hashPart)
	if err != nil || held.index.Has(key) {
		return nil
	}
	return &blob.Error{Op: "Get", Bucket: c.String(), Key: layout.NarInfoKey(hashPart), Err: ErrNotFound,
		Hint: "by the cache's index of paths of " + held.index.Time.Format(time.RFC3339)}
}

// loadPresence reads the index of paths. One that cannot be used is not an error,
// only the end of the context is.
func (c *Cache) loadPresence(ctx context.Context) (*heldIndex, error) {
	select {
	case c.presence.loading <- struct{}{}:
		defer func() { <-c.presence.loading }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	now := time.Now()
	if held := c.presence.current.Load(); held != nil && now.Before(held.until) {
		return held, nil // another goroutine has read it
	}
	x, err := c.readPresence(ctx, now)
	held := &heldIndex{until: now.Add(presenceRetry)}
	if ctx.Err() != nil {
		c.presence.current.Store(&heldIndex{until: now.Add(presenceInterrupted)})
		return nil, context.Cause(ctx)
	}
	if err != nil {
		c.settings.Logger.WarnContext(ctx, "the cache's index of paths is not used", "cache", c.String(), "reason", err)
	} else {
		held.index, held.until = x, x.Expires
	}
	c.presence.current.Store(held)
	return held, nil
}

func (c *Cache) readPresence(ctx context.Context, now time.Time) (*presence.Index, error) {
	data, _, err := blob.ReadAll(ctx, c.bucket, layout.PresenceKey, presence.MaxSize)
	if err != nil {
		return nil, err
	}
	x, err := presence.Parse(data, c.settings.PresenceKeys)
	if err == nil {
		err = x.Check(c.settings.Presence, c.settings.StoreDir, now)
	}
	if err != nil {
		return nil, fmt.Errorf("%s in %s: %w", layout.PresenceKey, c, err)
	}
	return x, nil
}
