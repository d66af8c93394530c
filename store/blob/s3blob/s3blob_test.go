package s3blob_test

import (
	"context"
	"net/http/httptest"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/s3url"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/s3blob"
	"example.com/nixs3/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.TestBucket(t, func(t *testing.T) blob.Bucket {
		return openFake(t, "")
	}, storetest.Features{
		NoChecksum: true,
		NoKey:      func(key string) bool { return len("some/prefix/"+key) > 1024 },
	})
}

// openFake returns an empty bucket of a fake server.
func openFake(t *testing.T, parameters string) *s3blob.Bucket {
	t.Setenv("AWS_ACCESS_KEY_ID", "lab")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "labsecret123")
	backend := s3mem.New()
	require.NoError(t, backend.CreateBucket("bucket"))
	server := httptest.NewServer(gofakes3.New(backend).Server())
	t.Cleanup(server.Close)
	u, err := s3url.Parse("s3://bucket/some/prefix?endpoint=" + server.URL + parameters)
	require.NoError(t, err)
	b, err := s3blob.Open(context.Background(), u, s3blob.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}
