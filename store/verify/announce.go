package verify

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/layout"
)

// Writers that sign the same paths at a time announce what they sign: each
// stores its signatures in an object of its own, which no other writes, before
// it changes a narinfo, and reads the announcements of the others after it has.
// The last of them to write a narinfo so sees the announcements of all who
// wrote it before, and puts back what it has overwritten. This needs no
// conditional writes, which some servers ignore and which a directory has
// within one process only. Where the bucket cannot be listed, as on a web
// server, a writer reads back what it has written instead.
//
// An announcement stays until a later writer finds it to be an hour old, since
// a slower writer may still overwrite what it announces. It goes at once where
// writes were seen to be conditional and no other writer is at work.

// announcementPrefix is where announcements are.
const announcementPrefix = layout.ControlPrefix + "signing/"

// announcementAge is the time after which no writer can still be at work on what
// it read before: servers refuse requests that are older than 15 minutes.
const announcementAge = time.Hour

// announced is the content of an announcement.
type announced struct {
	Signatures map[string][]narinfo.Signature `json:"signatures"` // by hash part
	RemoveKeys []string                       `json:"removeKeys,omitzero"`
}

// announcement is this writer's own, and what it knows of the others. Its
// methods may be called at once, but for lookAround.
type announcement struct {
	bucket      blob.Bucket
	key         string
	conditional bool // the bucket supports IfMatch, or ignores it
	alone       bool // nothing can be announced, since the bucket cannot be listed

	proven bool // the bucket has refused a write whose IfMatch did not hold
	others map[string]announced
}

// announce stores what is about to be signed, and tries on the way what the
// bucket makes of IfMatch.
func announce(ctx context.Context, b blob.Bucket, todo []*signed, removed []string) (*announcement, error) {
	a := &announcement{bucket: b, key: announcementPrefix + rand.Text() + ".json", others: map[string]announced{}}
	for _, err := range b.List(ctx, blob.ListOptions{Prefix: announcementPrefix}) {
		if errors.Is(err, errors.ErrUnsupported) {
			a.alone, a.conditional = true, true
			return a, nil
		}
		break
	}
	ours := announced{Signatures: make(map[string][]narinfo.Signature, len(todo)), RemoveKeys: removed}
	for _, one := range todo {
		ours.Signatures[one.Path.HashPart()] = one.added
	}
	text, err := json.Marshal(ours)
	if err != nil {
		return nil, err
	}
	opts := blob.PutOptions{ContentType: layout.Control.ContentType()}
	if _, err := b.Put(ctx, a.key, bytes.NewReader(text), opts); err != nil {
		return nil, fmt.Errorf("announcing what is signed: %w", err)
	}
	opts.IfMatch = `"00000000000000000000000000000000"`
	switch _, err = b.Put(ctx, a.key, bytes.NewReader(text), opts); {
	case err == nil:
		a.conditional = true
	case errors.Is(err, blob.ErrPrecondition):
		a.conditional, a.proven = true, true
	case !unsupported(err):
		return nil, fmt.Errorf("announcing what is signed: %w", err)
	}
	return a, nil
}

// unsupported reports whether a server refuses a request for what it asks.
func unsupported(err error) bool {
	var refused *blob.Error
	return errors.Is(err, errors.ErrUnsupported) ||
		errors.As(err, &refused) && (refused.Status == http.StatusBadRequest || refused.Status == http.StatusNotImplemented)
}

// lookAround reads the announcements of the others, and removes those that are
// too old to matter.
func (a *announcement) lookAround(ctx context.Context) error {
	if a.alone {
		return nil
	}
	var listed []blob.Attrs
	for attrs, err := range a.bucket.List(ctx, blob.ListOptions{Prefix: announcementPrefix}) {
		if err != nil {
			return fmt.Errorf("looking for other writers: %w", err)
		}
		listed = append(listed, attrs)
	}
	var now time.Time // by the server's clock
	for _, attrs := range listed {
		if attrs.ModTime.After(now) {
			now = attrs.ModTime
		}
	}
	for _, attrs := range listed {
		_, known := a.others[attrs.Key]
		switch {
		case attrs.Key == a.key || known || !strings.HasSuffix(attrs.Key, ".json"):
		case now.Sub(attrs.ModTime) > announcementAge:
			if err := a.bucket.Delete(ctx, attrs.Key); err != nil && !errors.Is(err, blob.ErrAccessDenied) {
				return fmt.Errorf("removing an old announcement: %w", err)
			}
		default:
			text, _, err := blob.ReadAll(ctx, a.bucket, attrs.Key, layout.Control.Limit())
			if errors.Is(err, blob.ErrNotFound) {
				continue // its writer is done
			}
			if err != nil {
				return fmt.Errorf("reading what another writer signs: %w", err)
			}
			var other announced
			if err := json.Unmarshal(text, &other); err != nil {
				return fmt.Errorf("%s: %w", attrs.Key, err)
			}
			a.others[attrs.Key] = other
		}
	}
	return nil
}

// shares reports whether another writer signs the path with a hash part, or
// may do so.
func (a *announcement) shares(hashPart string) bool {
	if a.alone {
		return true
	}
	for _, other := range a.others {
		if _, ok := other.Signatures[hashPart]; ok {
			return true
		}
	}
	return false
}

// merge puts into a narinfo what others have announced for it. A nil
// announcement has nothing.
func (a *announcement) merge(one *signed) {
	if a == nil {
		return
	}
	for _, other := range a.others {
		sigs, ok := other.Signatures[one.Path.HashPart()]
		if !ok {
			continue
		}
		for _, sig := range sigs {
			if !slices.Contains(one.Signatures, sig) {
				one.Signatures = append(one.Signatures, sig)
			}
		}
		one.drop(other.RemoveKeys, func(sig narinfo.Signature) bool { return slices.Contains(sigs, sig) || slices.Contains(one.added, sig) })
	}
}

// withdraw removes the announcement where no other writer can need it.
func (a *announcement) withdraw(ctx context.Context) error {
	if !a.proven || len(a.others) > 0 {
		return nil
	}
	err := a.bucket.Delete(ctx, a.key)
	if errors.Is(err, blob.ErrAccessDenied) {
		return nil // a writer without s3:DeleteObject leaves it to the next one
	}
	return err
}
