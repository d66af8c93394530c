package blob_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"

	"example.com/nixs3/store/blob"
)

// plain is a bucket without optional interfaces.
type plain struct{ blob.Bucket }

// copying is a driver with one.
type copying struct {
	blob.Bucket
	name string
}

func (copying) CopyFrom(context.Context, string, blob.Bucket, string, blob.PutOptions) (blob.Attrs, error) {
	return blob.Attrs{}, nil
}

// transparent is a Wrapper that adds nothing.
type transparent struct{ blob.Bucket }

func (w transparent) Unwrap() blob.Bucket { return w.Bucket }
func (transparent) As(any) bool           { return false }

// watching is a Wrapper that wraps the Copier of its bucket.
type watching struct{ transparent }

func (w watching) As(target any) bool {
	t, ok := target.(*blob.Copier)
	if !ok {
		return false
	}
	behind, ok := blob.As[copying](w.Bucket)
	if ok {
		*t = copying{name: "watched " + behind.name}
	}
	return ok
}

func TestAs(t *testing.T) {
	for _, tt := range []struct {
		name string
		b    blob.Bucket
		want any // the Copier, nil for none
	}{
		{"the bucket itself", copying{name: "driver"}, copying{name: "driver"}},
		{"not implemented", plain{}, nil},
		{"no bucket", nil, nil},
		{"behind a wrapper", transparent{copying{name: "driver"}}, copying{name: "driver"}},
		{"behind two wrappers", transparent{transparent{copying{name: "driver"}}}, copying{name: "driver"}},
		{"not implemented behind a wrapper", transparent{plain{}}, nil},
		{"as the wrapper gives it", watching{transparent{copying{name: "driver"}}}, copying{name: "watched driver"}},
		{"as a wrapper behind another gives it", transparent{watching{transparent{copying{name: "driver"}}}}, copying{name: "watched driver"}},
		{"hidden by a bucket that is not a Wrapper", plain{copying{name: "driver"}}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := blob.As[blob.Copier](tt.b)
			assert.Equal(t, tt.want != nil, ok)
			if tt.want != nil {
				assert.Equal(t, tt.want, got)
			}
		})
	}
	t.Run("the type of a driver", func(t *testing.T) {
		got, ok := blob.As[copying](watching{transparent{copying{name: "driver"}}})
		assert.True(t, ok)
		assert.Equal(t, "driver", got.name)
	})
}
