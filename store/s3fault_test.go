package store_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/store"
	"example.com/nixs3/store/storetest"
	"example.com/nixs3/store/storetest/fakes3"
)

// TestCopySurvivesFaultsOfS3 copies a closure with an archive in parts to an S3
// server, with a fault at each HTTP request in turn, each time of another kind,
// and requires after each that the cache is sound, that no upload is left, and
// that a second copy finishes it.
func TestCopySurvivesFaultsOfS3(t *testing.T) {
	lib, user, top := smallClosure(t)
	objects := append(independent(t, 1, 6<<20), lib, user, top) // 5 MiB is the smallest part
	src, _ := fill(t, objects, store.Settings{Compression: "none"})
	faults := []fakes3.Fault{
		{Status: 403, Code: "AccessDenied"},
		{Status: 503, Code: "SlowDown"},
		{Kind: "fail-in-200", Status: 500, Code: "InternalError"},
		{Kind: "reset"},
		{Kind: "reset-upload", After: 1000},
		{Kind: "lose-response"},
		// A fault that never ends looks to the server like a killed process.
		{Status: 403, Code: "AccessDenied", Times: -1},
		{Kind: "reset", Times: -1},
		{Kind: "lose-response", Times: -1},
	}
	const turns = 3 // each request meets so many of the faults
	for first := range turns {
		for index, struck := 0, true; struck; index++ {
			fault := faults[(index+first*len(faults)/turns)%len(faults)]
			t.Run(fmt.Sprintf("request %d, %v %d", index, fault.Kind, fault.Times), func(t *testing.T) {
				struck = surviveFault(t, objects, src, fault, index)
			})
		}
	}
}

// surviveFault reports whether there was a request to fail.
func surviveFault(t *testing.T, objects []object, src store.Source, fault fakes3.Fault, index int) bool {
	s3 := storetest.NewS3(t, fakes3.Options{Buckets: []string{"cache"}})
	const query = "&multipart-threshold=5242880&compression=none&retry-attempts=3&retry-delay=1&retry-delay-rate-limited=1&retry-max-delay=2"
	dst, again := s3Cache(t, s3, query), s3Cache(t, s3, query)
	before := len(s3.Requests())
	fault.Skip = index
	s3.Inject(fault)
	_, err := store.Copy(t.Context(), dst, src, paths(objects), store.CopyOptions{})
	struck := len(s3.Requests()) > before+index
	s3.ClearFaults()
	if !struck {
		require.NoError(t, err)
	}

	left := len(s3.Uploads("cache")) > 0
	// Who cannot reach the server cannot end what was begun, nor can who never
	// learned of it.
	if fault.Times == 0 && fault.Kind != "lose-response" {
		require.False(t, left, err)
	}
	opts := storetest.CheckOptions{Uploads: left}
	_, err = storetest.CheckCache(t.Context(), again.Bucket(), opts)
	require.NoError(t, err)
	_, err = store.Copy(t.Context(), again, src, paths(objects), store.CopyOptions{})
	require.NoError(t, err)
	report, err := storetest.CheckCache(t.Context(), again.Bucket(), opts)
	require.NoError(t, err)
	require.Equal(t, len(objects), report.Paths)
	return struck
}
