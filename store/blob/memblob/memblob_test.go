package memblob_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.TestBucket(t, func(t *testing.T) blob.Bucket { return memblob.New() }, storetest.Features{})
}

func TestCopyFromAnotherBucket(t *testing.T) {
	src, dst := memblob.New(), memblob.New()
	_, err := src.Put(t.Context(), "from", strings.NewReader("content"), blob.PutOptions{ContentType: "text/plain", ContentEncoding: "zstd"})
	require.NoError(t, err)
	attrs, err := dst.CopyFrom(t.Context(), "to", src, "from", blob.PutOptions{ContentType: "text/html", IfNoneMatch: true})
	require.NoError(t, err)
	assert.Equal(t, "text/html", attrs.ContentType)
	assert.Equal(t, "zstd", attrs.ContentEncoding)
	_, err = dst.CopyFrom(t.Context(), "to", src, "from", blob.PutOptions{IfNoneMatch: true})
	require.ErrorIs(t, err, blob.ErrPrecondition)
	_, err = dst.CopyFrom(t.Context(), "", src, "from", blob.PutOptions{})
	require.ErrorIs(t, err, blob.ErrInvalidKey)

	require.NoError(t, src.Close())
	data, _, err := blob.ReadAll(t.Context(), dst, "to", 100)
	require.NoError(t, err)
	assert.Equal(t, "content", string(data))
}

// The caller may change its bytes afterwards.
func TestPutKeepsACopy(t *testing.T) {
	b := memblob.New()
	data := []byte("content")
	_, err := b.Put(t.Context(), "key", bytes.NewReader(data), blob.PutOptions{})
	require.NoError(t, err)
	data[0] = 'X'
	got, _, err := blob.ReadAll(t.Context(), b, "key", 100)
	require.NoError(t, err)
	assert.Equal(t, "content", string(got))
}

func TestContentOfNegativeSize(t *testing.T) {
	_, err := memblob.New().Put(t.Context(), "key", negative{}, blob.PutOptions{})
	require.ErrorContains(t, err, "content has size -1")
}

type negative struct{ *strings.Reader }

func (negative) Size() int64 { return -1 }

func Example() {
	ctx := context.Background()
	bucket := memblob.New()
	defer bucket.Close()
	attrs, err := bucket.Put(ctx, "nix-cache-info", strings.NewReader("StoreDir: /nix/store\n"), blob.PutOptions{IfNoneMatch: true})
	fmt.Println(attrs.Key, attrs.Size, err)
	_, err = bucket.Put(ctx, "nix-cache-info", strings.NewReader(""), blob.PutOptions{IfNoneMatch: true})
	fmt.Println(err)
	// Output:
	// nix-cache-info 21 <nil>
	// Put "nix-cache-info" in mem://: precondition failed
}

func BenchmarkPut(b *testing.B) {
	bucket := memblob.New()
	data := make([]byte, 16<<20)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		_, err := bucket.Put(b.Context(), "key", bytes.NewReader(data), blob.PutOptions{})
		require.NoError(b, err)
	}
}
