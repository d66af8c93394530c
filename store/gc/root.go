package gc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/internal/lease"
	"example.com/nixs3/store/layout"
)

const (
	rootPrefix = layout.ControlPrefix + "roots/"

	// rootLimit bounds a root's object in bytes: over a million paths.
	rootLimit = 128 << 20

	// maxRootName bounds a root's name in bytes.
	maxRootName = 512
)

// Root keeps store paths, and all that they refer to, from being collected.
type Root struct {
	// Name is slash-separated: a root is a member of the group that is named
	// by all of its elements but the last. A group cannot be a root too.
	Name string

	Paths []storepath.Path

	Set     time.Time // by the server's clock
	Expires time.Time // zero means never; the root keeps nothing after that
	Note    string    // free text
}

// ErrBadRoot is a root whose object cannot be read. Nothing is collected while
// there is one.
var ErrBadRoot = errors.New("malformed root")

// storedRoot is the content of a root's object. Set is the object's ModTime.
type storedRoot struct {
	Paths   []storepath.Path `json:"paths"`
	Note    string           `json:"note,omitempty"`
	By      string           `json:"by,omitempty"`
	Expires time.Time        `json:"expires,omitzero"`
	TTL     int64            `json:"ttl,omitempty"` // seconds from Set to Expires, whatever the clock of the writer said
}

// SetRoot makes a root, or replaces the one with its name. All paths must be in
// the cache; the error wraps store.ErrNotFound for one that is not. r.Set is
// ignored. A failed SetRoot may have set the root.
func SetRoot(ctx context.Context, cache *store.Cache, r Root) (err error) {
	if err := checkRoot(r); err != nil {
		return err
	}
	stored := storedRoot{Paths: r.Paths, Note: r.Note, By: lease.Holder()}
	if !r.Expires.IsZero() {
		ttl := time.Until(r.Expires)
		if ttl <= 0 {
			return fmt.Errorf("root %q: expected a time to expire in the future, got %v", r.Name, r.Expires)
		}
		stored.Expires, stored.TTL = r.Expires.UTC(), int64((ttl+time.Second-1)/time.Second)
	}
	data, err := json.Marshal(stored)
	if err != nil {
		return err
	}
	if len(data) > rootLimit {
		return fmt.Errorf("root %q has %d bytes, at most %d are read", r.Name, len(data), rootLimit)
	}
	b := cache.Bucket()
	if err := checkGroups(ctx, b, r.Name); err != nil {
		return err
	}
	if err := enrol(ctx, b); err != nil {
		return err
	}
	hashParts := make([]string, len(r.Paths))
	for i, p := range r.Paths {
		hashParts[i] = p.HashPart()
	}
	// With a lease on the paths, a collector that has not seen the root spares
	// them, or has swept before they are looked for.
	session, err := lease.NewWriters(b, silent).Begin(ctx, hashParts, nil)
	if err != nil {
		return err
	}
	defer func() { session.End(ctx, err) }()
	if err := haveAll(ctx, cache, r); err != nil {
		return err
	}
	if err := session.Check(ctx); err != nil {
		return err
	}
	_, err = b.Put(ctx, rootPrefix+r.Name, bytes.NewReader(data), controlType)
	return err
}

// haveAll fails unless the cache has all paths of a root.
func haveAll(ctx context.Context, cache *store.Cache, r Root) error {
	return inParallel(ctx, r.Paths, func(ctx context.Context, p storepath.Path) error {
		_, err := cache.NarInfo(ctx, p)
		if errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("root %q: %s is not in %s: %w", r.Name, p, cache, store.ErrNotFound)
		}
		return err
	})
}

func checkRoot(r Root) error {
	if err := checkRootName(r.Name); err != nil {
		return err
	}
	if len(r.Paths) == 0 {
		return fmt.Errorf("root %q: expected at least one store path", r.Name)
	}
	for _, p := range r.Paths {
		if p.IsZero() {
			return fmt.Errorf("root %q: a store path is missing", r.Name)
		}
	}
	return nil
}

func checkRootName(name string) error {
	bad := ""
	switch {
	case name == "":
		bad = "it is empty"
	case len(name) > maxRootName:
		bad = fmt.Sprintf("it has %d bytes, at most %d are allowed", len(name), maxRootName)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsGraphic(r) }):
		bad = "it has a character that cannot be printed"
	case layout.KindOf(rootPrefix+name) != layout.Control:
		bad = `expected elements between single slashes, none of them empty, "." or "..", without "\"`
	default:
		return nil
	}
	return fmt.Errorf("root name %.600q: %s", name, bad)
}

// checkGroups refuses a name that is a group, and one in a group that is a root.
// Some servers cannot have both: they hide one of them from listings, and the
// paths of a root that is not seen would be collected.
func checkGroups(ctx context.Context, b blob.Bucket, name string) error {
	for attrs, err := range b.List(ctx, blob.ListOptions{Prefix: rootPrefix + name + "/"}) {
		if err != nil {
			return err
		}
		return fmt.Errorf("root name %q: it is the group of the root %q", name, strings.TrimPrefix(attrs.Key, rootPrefix))
	}
	for i := range len(name) {
		if name[i] != '/' {
			continue
		}
		_, err := b.Head(ctx, rootPrefix+name[:i])
		if err == nil {
			return fmt.Errorf("root name %q: its group %q is a root", name, name[:i])
		}
		if !isMissing(err) {
			return err
		}
	}
	return nil
}

// Roots yields the roots in the order of their names, expired ones too. A
// malformed root is an error that does not end the iteration; its Root has the
// name.
func Roots(ctx context.Context, cache *store.Cache) iter.Seq2[Root, error] {
	return func(yield func(Root, error) bool) {
		for r, err := range readRoots(ctx, cache.Bucket()) {
			if !yield(r.Root, err) {
				return
			}
		}
	}
}

// readRoot is a root with what the collector needs to know.
type readRoot struct {
	Root
	expires time.Time // by the server's clock
}

func readRoots(ctx context.Context, b blob.Bucket) iter.Seq2[readRoot, error] {
	return func(yield func(readRoot, error) bool) {
		for attrs, err := range b.List(ctx, blob.ListOptions{Prefix: rootPrefix}) {
			if err != nil {
				yield(readRoot{}, err)
				return
			}
			r, err := loadRoot(ctx, b, attrs)
			if errors.Is(err, blob.ErrNotFound) {
				continue // removed meanwhile
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

func loadRoot(ctx context.Context, b blob.Bucket, listed blob.Attrs) (readRoot, error) {
	name := strings.TrimPrefix(listed.Key, rootPrefix)
	failed := readRoot{Root: Root{Name: name}}
	data, attrs, err := blob.ReadAll(ctx, b, listed.Key, rootLimit)
	if err != nil {
		return failed, err
	}
	stored, err := parseRoot(data)
	if err != nil {
		return failed, fmt.Errorf("%w %q (%s in %s): %w; set it again or remove it", ErrBadRoot, name, listed.Key, b, err)
	}
	r := readRoot{Root: Root{Name: name, Paths: stored.Paths, Set: attrs.ModTime, Expires: stored.Expires, Note: stored.Note}}
	if r.Set.IsZero() {
		r.Set = listed.ModTime
	}
	if !stored.Expires.IsZero() {
		r.expires = r.Set.Add(time.Duration(stored.TTL) * time.Second)
	}
	return r, nil
}

// maxRootTTL is some 100 years.
const maxRootTTL = 100 * 366 * 24 * 3600

func parseRoot(data []byte) (*storedRoot, error) {
	var r storedRoot
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, err
	}
	switch {
	case len(r.Paths) == 0:
		return nil, errors.New("it has no paths")
	case r.Expires.IsZero() != (r.TTL == 0), r.TTL < 0, r.TTL > maxRootTTL:
		return nil, fmt.Errorf("expected expires with a ttl of 1 to %d seconds or neither, got a ttl of %d", maxRootTTL, r.TTL)
	}
	for _, p := range r.Paths {
		if p.IsZero() {
			return nil, errors.New("one of its paths is empty")
		}
	}
	return &r, nil
}

// RemoveRoot removes a root. The error wraps store.ErrNotFound if the
// root does not exist.
func RemoveRoot(ctx context.Context, cache *store.Cache, name string) error {
	if err := checkRootName(name); err != nil {
		return err
	}
	b := cache.Bucket()
	if _, err := b.Head(ctx, rootPrefix+name); err != nil {
		if isMissing(err) {
			return fmt.Errorf("root %q: %s has none of that name: %w", name, cache, store.ErrNotFound)
		}
		return err
	}
	return b.Delete(ctx, rootPrefix+name)
}
