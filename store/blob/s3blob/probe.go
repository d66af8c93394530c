package s3blob

import (
	"context"
	"net/http"
	"strings"

	"example.com/nixs3/store/blob"
)

// HonoursConditions writes to an object that exists under conditions that do not
// hold, and reports whether the server itself refused all of these writes. Put
// checks conditions itself where the server is not known to, so it cannot show
// that. A server that honours none has then overwritten the object.
func (b *Bucket) HonoursConditions(ctx context.Context, key string) (bool, error) {
	full, err := b.key(key)
	if err != nil {
		return false, b.fail(ctx, "Put", key, err)
	}
	for _, opts := range []blob.PutOptions{{IfNoneMatch: true}, {IfMatch: `"00000000000000000000000000000000"`}} {
		u := b.newUpload(ctx, key, full, strings.NewReader("probe"), opts)
		switch _, err := u.single(ctx); {
		case err == nil, isNotImplemented(err):
			return false, nil
		case statusOf(err) != http.StatusPreconditionFailed:
			return false, b.fail(ctx, "Put", key, err)
		}
	}
	b.conditional.Store(true)
	return true, nil
}
