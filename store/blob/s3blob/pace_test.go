package s3blob

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/blob"
)

func TestPace(t *testing.T) {
	begin := func(t *testing.T, p *pace) time.Time {
		began, err := p.begin(t.Context())
		require.NoError(t, err)
		time.Sleep(time.Millisecond)
		return began
	}
	t.Run("without a limit no request waits", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var p pace
			for range 5000 {
				begin(t, &p)
			}
		})
	})
	t.Run("a burst of refusals halves once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var p pace
			var burst []time.Time
			for range 64 {
				burst = append(burst, begin(t, &p))
			}
			for _, began := range burst {
				assert.Equal(t, 32, p.end(began, true))
			}
			for range 32 {
				begin(t, &p)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			_, err := p.begin(ctx)
			require.ErrorIs(t, err, context.DeadlineExceeded, "the 33rd waits")
		})
	})
	t.Run("a request that ends lets another begin", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var p pace
			p.end(begin(t, &p), true)
			first := begin(t, &p)
			go func() {
				time.Sleep(time.Second)
				p.end(first, false)
			}()
			before := time.Now()
			begin(t, &p)
			assert.Equal(t, time.Second+time.Millisecond, time.Since(before))
		})
	})
	t.Run("rounds that succeed raise the limit until there is none", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var p pace
			assert.Equal(t, 1, p.end(begin(t, &p), true))
			assert.Equal(t, 2, p.end(begin(t, &p), false))
			assert.Equal(t, 2, p.end(begin(t, &p), false))
			assert.Equal(t, 3, p.end(begin(t, &p), false))
			p.limit, p.succeeded = unlimited-1, unlimited-2
			assert.Zero(t, p.end(begin(t, &p), false))
		})
	})
	t.Run("held back, all wait", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var p pace
			p.hold(5 * time.Second)
			p.hold(time.Second) // does not shorten it
			before := time.Now()
			begin(t, &p)
			assert.Equal(t, 5*time.Second+time.Millisecond, time.Since(before))
		})
	})
	t.Run("waiting ends with the context", func(t *testing.T) {
		var p pace
		p.hold(time.Hour)
		ctx, cancel := context.WithCancelCause(t.Context())
		gaveUp := errors.New("the test gave up")
		cancel(gaveUp)
		_, err := p.begin(ctx)
		require.ErrorIs(t, err, gaveUp)
	})
}

func responseError(status int, header http.Header) error {
	return &smithyhttp.ResponseError{
		Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status, Header: header}},
		Err:      errors.New("refused"),
	}
}

func TestRetryer(t *testing.T) {
	opts := blob.Retry{Attempts: 7, Delay: time.Second, MaxDelay: time.Minute, RateLimitedDelay: 10 * time.Second}
	r := newRetryer("", opts, []string{"Mine"}, Options{}.withDefaults().Logger)
	assert.Equal(t, 7, r.MaxAttempts())

	delay, err := r.RetryDelay(1, errors.New("reset"))
	require.NoError(t, err)
	assert.LessOrEqual(t, delay, time.Second)

	for _, status := range []int{429, 503} {
		delay, err = r.RetryDelay(1, responseError(status, nil))
		require.NoError(t, err)
		assert.GreaterOrEqual(t, delay, 5*time.Second, "as rate-limited")
	}
	assert.True(t, r.pace.held.IsZero())

	delay, err = r.RetryDelay(1, responseError(500, http.Header{"Retry-After": {"30"}}))
	require.NoError(t, err)
	assert.Equal(t, 30*time.Second, delay)
	assert.InDelta(t, 30*time.Second, time.Until(r.pace.held), float64(5*time.Second), "all wait")

	delay, err = r.RetryDelay(1, responseError(503, http.Header{"Retry-After": {"86400"}}))
	require.NoError(t, err)
	assert.Equal(t, time.Minute, delay, "no longer than the most")
}
