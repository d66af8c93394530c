package memblob_test

import (
	"testing"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.TestBucket(t, func(t *testing.T) blob.Bucket { return memblob.New() }, storetest.Features{})
}
