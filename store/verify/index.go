package verify

import (
	"bytes"
	"context"
	"errors"

	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/codec"
	"example.com/nixs3/store/layout"
)

// index compares the index of an archive's pieces with the archive, which it
// reads again. Few archives have such an object: an index in the archive itself
// is covered by FileHash. The closures of Roots are checked without a listing,
// so that their indexes are not looked for.
func (c *checker) index(ctx context.Context, r *result) {
	if c.survey == nil || r.info.FileHash.Algorithm() != nixhash.SHA256 {
		return
	}
	key := layout.IndexKey(r.info.FileHash)
	if _, ok := c.survey.indexes[key]; !ok {
		return
	}
	r.Index = key
	stored, _, err := blob.ReadAll(ctx, c.bucket, key, layout.Index.Limit())
	switch {
	case errors.Is(err, blob.ErrNotFound):
		return // it went since it was listed
	case errors.Is(err, blob.ErrTooLarge):
		r.find(IndexInvalid, key, err.Error())
		return
	case err != nil:
		r.err = &UncheckedError{key, err}
		return
	}
	archive, err := c.cache.OpenCompressed(ctx, r.info)
	if err != nil {
		c.explain(ctx, r, archiveName(r.info), err)
		return
	}
	defer archive.Close()
	body := &watched{r: archive}
	index, err := codec.BuildIndex(string(r.info.Compression), body, r.info.FileSize)
	if body.err != nil {
		r.err = &UncheckedError{archiveName(r.info), body.err}
		return
	}
	var text []byte
	if err == nil {
		text, err = index.MarshalBinary()
	}
	if err != nil {
		r.find(IndexInvalid, key, err.Error())
	} else if !bytes.Equal(stored, text) {
		r.find(IndexInvalid, key, "")
	}
}
