package storetest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/storetest/fakes3"
)

// NewS3 starts a fake S3 that is closed when the test ends. Programs use
// fakes3.Start, which does not import package testing.
func NewS3(t testing.TB, opts fakes3.Options) *fakes3.Server {
	t.Helper()
	server, err := fakes3.Start(opts)
	require.NoError(t, err)
	t.Cleanup(func() { server.Close() })
	return server
}
