package gc

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/layout"
)

const canaryPrefix = layout.ControlPrefix + "collect/canary/"

// ErrConditions is a server that ignores the conditions of writes, or does not
// know them. Two collectors at a time could not see each other there.
var ErrConditions = errors.New("server does not honour conditional writes")

// ErrNoDelete is a bucket that may not be deleted from.
var ErrNoDelete = errors.New("nothing may be deleted from the bucket")

// probe tries on objects of its own what a collector relies on: that writes whose
// condition does not hold are refused, and that objects may be deleted. It
// returns the server's clock.
func probe(ctx context.Context, b blob.Bucket, alone bool) (clock, versionDeleter, error) {
	key := canaryPrefix + rand.Text()
	first := controlType
	first.IfNoneMatch = !alone
	attrs, err := b.Put(ctx, key, canary(), first)
	if err != nil {
		return clock{}, nil, fmt.Errorf("writing a canary: %w", err)
	}
	cl := clock{}
	if !alone {
		if err := probeConditions(ctx, b, key, attrs); err != nil {
			return clock{}, nil, errors.Join(err, b.Delete(ctx, key))
		}
	}
	if attrs, err = b.Head(ctx, key); err != nil {
		return clock{}, nil, fmt.Errorf("reading a canary: %w", err)
	}
	if attrs.ModTime.IsZero() {
		return clock{}, nil, fmt.Errorf("%s does not tell when an object was written", b)
	}
	cl = newClock(attrs.ModTime)
	versions := versionsOf(ctx, b, key)
	if err := removeWith(ctx, b, versions, key); err != nil {
		if errors.Is(err, blob.ErrAccessDenied) {
			err = fmt.Errorf("%w: %w; a collector needs s3:DeleteObject", ErrNoDelete, err)
		}
		return clock{}, nil, err
	}
	return cl, versions, nil
}

// removeWith deletes objects by their versions, where the bucket keeps these.
func removeWith(ctx context.Context, b blob.Bucket, versions versionDeleter, keys ...string) error {
	if versions != nil {
		return versions.DeleteVersions(ctx, keys...)
	}
	return b.Delete(ctx, keys...)
}

// canary is an object that differs from all others, so that its ETag does.
func canary() blob.Content {
	return bytes.NewReader([]byte(`{"canary":"` + rand.Text() + time.Now().UTC().Format(time.RFC3339Nano) + `"}`))
}

// probeConditions writes to an object that exists under conditions that do not
// hold, and under one that does.
func probeConditions(ctx context.Context, b blob.Bucket, key string, attrs blob.Attrs) error {
	if p, ok := blob.As[conditionProber](b); ok {
		honoured, err := p.HonoursConditions(ctx, key)
		if err == nil && !honoured {
			err = ignoresConditions(b)
		}
		if err != nil {
			return err
		}
	}
	for _, opts := range []blob.PutOptions{{IfNoneMatch: true}, {IfMatch: `"` + rand.Text() + `"`}} {
		_, err := b.Put(ctx, key, canary(), opts)
		switch {
		case err == nil:
			return ignoresConditions(b)
		case !errors.Is(err, blob.ErrPrecondition):
			return fmt.Errorf("trying a write whose condition does not hold: %w", err)
		}
	}
	_, err := b.Put(ctx, key, canary(), blob.PutOptions{IfMatch: attrs.ETag})
	switch {
	case errors.Is(err, blob.ErrPrecondition):
		return fmt.Errorf("%w: %s refused a write whose condition held; if no other collector runs there, promise it with --alone", ErrConditions, b)
	case err != nil:
		return fmt.Errorf("trying a write whose condition holds: %w", err)
	}
	return nil
}

func ignoresConditions(b blob.Bucket) error {
	return fmt.Errorf("%w: %s stored an object under a condition that did not hold; if no other collector runs there, promise it with --alone", ErrConditions, b)
}

// conditionProber is implemented by drivers that check conditions themselves
// where the server does not, which hides from others what the server does.
type conditionProber interface {
	// HonoursConditions writes to an existing object under conditions that do
	// not hold, and reports whether the server itself refused all of them.
	HonoursConditions(ctx context.Context, key string) (bool, error)
}

// versionDeleter is implemented by drivers of buckets that may keep versions.
type versionDeleter interface {
	// Versioned reports whether the bucket keeps the versions of its objects,
	// as shown by one that exists.
	Versioned(ctx context.Context, key string) (bool, error)

	// DeleteVersions removes objects with all their versions, by their version
	// IDs, so that a late request cannot remove what was written since.
	DeleteVersions(ctx context.Context, keys ...string) error
}

// versionsOf returns how versions are deleted, nil where the bucket keeps none
// or does not tell.
func versionsOf(ctx context.Context, b blob.Bucket, key string) versionDeleter {
	d, ok := blob.As[versionDeleter](b)
	if !ok {
		return nil
	}
	if versioned, err := d.Versioned(ctx, key); err != nil || !versioned {
		return nil
	}
	return d
}
