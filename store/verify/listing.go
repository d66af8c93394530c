package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"example.com/nixs3/nar"
	"example.com/nixs3/store/layout"
)

// listing compares the stored listing of a path with that of its archive.
func (c *checker) listing(ctx context.Context, r *result, tree *nar.Listing, size int64) {
	key := layout.ListingKey(r.Path.HashPart())
	o := object{missing: true}
	if size >= 0 {
		o = c.small(ctx, key)
	}
	switch {
	case o.err != nil:
		r.err = o.err
	case o.missing && size > 0:
		r.find(ListingMissing, key, "")
	case o.missing:
		// Whether it should be there shows in the survey.
		r.Unlistable = c.settings.WriteListing && unlistable(tree)
	case o.fault != nil:
		r.find(ListingInvalid, key, o.fault.Error())
	default:
		if err := sameListing(o.data, tree); err != nil {
			r.find(ListingInvalid, key, err.Error())
		}
	}
}

// unlistable reports whether no listing can have the names of a tree.
func unlistable(tree *nar.Listing) bool {
	_, err := tree.MarshalJSON()
	return errors.Is(err, nar.ErrNotUTF8)
}

// sameListing fails unless the JSON is that of the tree. Of a tree with names
// that are not UTF-8, which JSON does not have, it has only to be JSON: old Nix
// writes the bytes as they are.
func sameListing(data []byte, tree *nar.Listing) error {
	text, err := tree.MarshalJSON()
	if err == nil && bytes.Equal(text, data) {
		return nil // as most writers have it
	}
	if errors.Is(err, nar.ErrNotUTF8) {
		if !json.Valid(bytes.ToValidUTF8(data, nil)) {
			return errors.New("it is not JSON")
		}
		return nil
	}
	var stored nar.Listing
	if err := json.Unmarshal(data, &stored); err != nil {
		return err
	}
	if where, ok := sameTree("", stored.Root, tree.Root); !ok {
		return fmt.Errorf("it differs from the archive at %q", where)
	}
	return nil
}

// sameTree reports whether two trees are equal, and where they first differ.
func sameTree(path string, a, b *nar.Node) (where string, same bool) {
	if a == nil || b == nil {
		return path, a == b
	}
	if a.Type != b.Type || a.Executable != b.Executable || a.Size != b.Size || a.ContentOffset != b.ContentOffset ||
		a.LinkTarget != b.LinkTarget || len(a.Entries) != len(b.Entries) {
		return path, false
	}
	for i := range a.Entries {
		name := path + "/" + a.Entries[i].Name
		if a.Entries[i].Name != b.Entries[i].Name {
			return name, false
		}
		if where, same := sameTree(name, a.Entries[i], b.Entries[i]); !same {
			return where, false
		}
	}
	return "", true
}
