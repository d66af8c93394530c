package fakes3_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/storetest/fakes3"
)

var megabyte = strings.Repeat("0123456789abcdef", 1<<16)

func TestFaultsOnReads(t *testing.T) {
	for _, tt := range []struct {
		name       string
		fault      fakes3.Fault
		wantStatus int    // of an error answer
		wantCode   string // of it
		wantOpen   bool   // there is an answer with a body
		wantBytes  int64  // at most of that body
	}{
		{"error", fakes3.Fault{}, 503, "SlowDown", false, 0},
		{"chosen error", fakes3.Fault{Status: 500, Code: "InternalError"}, 500, "InternalError", false, 0},
		{"reset", fakes3.Fault{Kind: "reset"}, 0, "", false, 0},
		{"lost response", fakes3.Fault{Kind: "lose-response"}, 0, "", false, 0},
		{"reset in the body", fakes3.Fault{Kind: "reset-body", After: 300000}, 0, "", true, 300000},
		{"truncated body", fakes3.Fault{Kind: "truncate", After: 300000}, 0, "", true, 300000},
	} {
		for _, tls := range []bool{false, true} {
			t.Run(tt.name+map[bool]string{true: " on TLS"}[tls], func(t *testing.T) {
				server, c := start(t, fakes3.Options{TLS: tls}, whenRequired)
				require.NoError(t, server.PutObject(bucket, "key", []byte(megabyte), nil))
				server.Inject(tt.fault)
				out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("key")})
				if !tt.wantOpen {
					require.Error(t, err)
					assert.Equal(t, tt.wantStatus, status(err))
					assert.Equal(t, tt.wantCode, code(err))
				} else {
					require.NoError(t, err)
					body, err := io.ReadAll(out.Body)
					out.Body.Close()
					require.Error(t, err, "not a clean end")
					assert.LessOrEqual(t, int64(len(body)), tt.wantBytes)
				}
				assert.Empty(t, server.PendingFaults())
				assert.Equal(t, tt.fault.Kind, server.Requests()[0].Fault.Kind)

				got, err := get(t.Context(), c, "key")
				require.NoError(t, err, "a fault strikes once")
				assert.Equal(t, megabyte, got)
			})
		}
	}
}

func TestFaultsOnWrites(t *testing.T) {
	for _, tt := range []struct {
		name       string
		fault      fakes3.Fault
		wantStored bool
	}{
		{"error", fakes3.Fault{Op: "PutObject"}, false},
		{"reset", fakes3.Fault{Op: "PutObject", Kind: "reset"}, false},
		{"reset in the upload", fakes3.Fault{Op: "PutObject", Kind: "reset-upload", After: 100000}, false},
		{"lost response", fakes3.Fault{Op: "PutObject", Kind: "lose-response"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server, c := start(t, fakes3.Options{}, whenRequired)
			server.Inject(tt.fault)
			require.Error(t, put(t.Context(), c, "key", megabyte))
			_, stored := server.Object(bucket, "key")
			assert.Equal(t, tt.wantStored, stored)
			require.NoError(t, put(t.Context(), c, "key", megabyte))
		})
	}
}

func TestFaultSelection(t *testing.T) {
	server, c := start(t, fakes3.Options{})
	server.Inject(
		fakes3.Fault{Op: "HeadObject", Skip: 2, Times: 2},
		fakes3.Fault{Key: "poor", Times: -1, Status: 500, Code: "InternalError"},
	)
	for _, key := range []string{"key", "poor"} {
		require.NoError(t, server.PutObject(bucket, key, nil, nil))
	}
	head := func(key string) bool {
		_, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: &key})
		return err == nil
	}
	var passed []bool
	for range 6 {
		passed = append(passed, head("key"))
	}
	assert.Equal(t, []bool{true, true, false, false, true, true}, passed)
	for range 3 {
		assert.False(t, head("poor"))
	}
	assert.Len(t, server.PendingFaults(), 1, "one never ends")
	server.ClearFaults()
	assert.True(t, head("poor"))
}

func TestRetryAfter(t *testing.T) {
	server, _ := start(t, fakes3.Options{Anonymous: fakes3.ReadAccess})
	server.Inject(fakes3.Fault{RetryAfter: 3 * time.Second})
	resp, err := server.Client().Get(server.Endpoint() + "/" + bucket + "/key")
	require.NoError(t, err)
	defer resp.Body.Close()
	assert.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	assert.Equal(t, "3", resp.Header.Get("Retry-After"))
	assert.NotEmpty(t, resp.Header.Get("X-Amz-Request-Id"))
	require.Eventually(t, func() bool { return server.Requests()[0].Done }, time.Minute, time.Millisecond)
	assert.Equal(t, resp.Header.Get("X-Amz-Request-Id"), server.Requests()[0].ID)
}

func TestHangEndsWithTheClientOrTheServer(t *testing.T) {
	server, c := start(t, fakes3.Options{})
	server.Inject(fakes3.Fault{Kind: "hang", Times: -1})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, put(ctx, c, "key", "x"), context.DeadlineExceeded)

	done := make(chan error, 1)
	go func() { done <- put(context.WithoutCancel(ctx), c, "key", "x") }()
	require.Eventually(t, func() bool { return server.Count() == 2 }, time.Minute, time.Millisecond)
	require.NoError(t, server.Close())
	require.Error(t, <-done)
}

func TestThrottling(t *testing.T) {
	server, c := start(t, fakes3.Options{MaxInFlight: 2, Latency: 50 * time.Millisecond})
	errs := make(chan error, 6)
	for range cap(errs) {
		go func() { errs <- put(t.Context(), c, "key", "x") }()
	}
	slowed := 0
	for range cap(errs) {
		if err := <-errs; err != nil {
			assert.Equal(t, "SlowDown", code(err))
			slowed++
		}
	}
	assert.Positive(t, slowed)
	assert.Less(t, slowed, cap(errs))
	assert.Greater(t, server.MaxInFlight(), 2)
	assert.Positive(t, server.Connections())
	server.ResetLog()
	assert.Zero(t, server.Count())
	assert.Zero(t, server.Connections())
}

// A misspelt name is a mistake in a test, which must not pass.
func TestUnknownNamesPanic(t *testing.T) {
	server, _ := start(t, fakes3.Options{})
	assert.Panics(t, func() { server.Inject(fakes3.Fault{Op: "GetObjekt"}) })
	assert.Panics(t, func() { server.Inject(fakes3.Fault{Kind: "reset-bodi"}) })
	assert.Panics(t, func() { server.Count("GetObjekt") })
	assert.Empty(t, server.PendingFaults())
}
