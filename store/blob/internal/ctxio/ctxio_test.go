package ctxio

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReader(t *testing.T) {
	cause := errors.New("user gave up")
	ctx, cancel := context.WithCancelCause(t.Context())
	r := &Reader{Ctx: ctx, R: strings.NewReader(strings.Repeat("x", 3*MaxRead))}

	n, err := r.Read(make([]byte, 2*MaxRead))
	require.NoError(t, err)
	assert.Equal(t, MaxRead, n, "one read is bounded")

	cancel(cause)
	_, err = io.Copy(io.Discard, r)
	assert.ErrorIs(t, err, cause)
}
