package retry

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/blob"
)

func TestDelay(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		delay, limit time.Duration
		attempt      int
		most         time.Duration
	}{
		{100 * ms, time.Second, 1, 100 * ms},
		{100 * ms, time.Second, 2, 200 * ms},
		{100 * ms, time.Second, 4, 800 * ms},
		{100 * ms, time.Second, 5, time.Second},
		{100 * ms, time.Second, 1 << 30, time.Second},
		{time.Minute, time.Second, 1, time.Second},
		{1, time.Second, 1, 1},
		{-1, time.Second, 1, 0},
	} {
		for _, limited := range []bool{false, true} {
			r := blob.Retry{Delay: test.delay, RateLimitedDelay: test.delay, MaxDelay: test.limit}
			if limited {
				r.Delay = 0
			}
			for range 20 {
				got := Delay(r, test.attempt, limited)
				assert.LessOrEqual(t, got, test.most, "%+v", test)
				assert.GreaterOrEqual(t, got, test.most/2, "%+v", test)
			}
		}
	}
}

func TestAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]struct {
		delay time.Duration
		ok    bool
	}{
		"":                     {0, false},
		"0":                    {0, true},
		"120":                  {2 * time.Minute, true},
		"-1":                   {0, false},
		"+1":                   {0, false},
		"1.5":                  {0, false},
		"soon":                 {0, false},
		"99999999999999999999": {0, false},
		now.Add(time.Hour).Format(http.TimeFormat): {time.Hour, true},
		"Mon, 02 Jan 2006 15:04:05 GMT":            {0, true},
	} {
		got, ok := After(http.Header{"Retry-After": {text}}, now)
		assert.Equal(t, want.ok, ok, text)
		assert.Equal(t, want.delay, got, text)
	}
}

func FuzzAfter(f *testing.F) {
	for _, s := range []string{"", "0", "120", "-1", "Mon, 02 Jan 2006 15:04:05 GMT"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, ok := After(http.Header{"Retry-After": {s}}, time.Unix(0, 0))
		assert.GreaterOrEqual(t, d, time.Duration(0))
		assert.True(t, ok || d == 0)
	})
}

func TestSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		require.NoError(t, Sleep(t.Context(), time.Minute))
		assert.Equal(t, time.Minute, time.Since(begin))
		ctx, cancel := context.WithCancelCause(t.Context())
		gaveUp := errors.New("the test gave up")
		time.AfterFunc(time.Second, func() { cancel(gaveUp) })
		require.ErrorIs(t, Sleep(ctx, time.Hour), gaveUp)
		assert.Equal(t, time.Minute+time.Second, time.Since(begin))
	})
}
