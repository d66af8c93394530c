package httpblob_test

import (
	"testing"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/storetest"
)

func TestConformance(t *testing.T) {
	for name, noRanges := range map[string]bool{"ranges": false, "no ranges": true} {
		t.Run(name, func(t *testing.T) {
			storetest.TestBucket(t, func(t *testing.T) blob.Bucket {
				server := newWebServer(t)
				server.noRanges = noRanges
				return server.open(t)
			}, storetest.Features{NoList: true, NoChecksum: true, ListPage: 20})
		})
	}
}
