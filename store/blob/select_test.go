package blob

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestGetOptionsRange(t *testing.T) {
	for _, tt := range []struct {
		name                   string
		opts                   GetOptions
		wantOffset, wantLength int64
	}{
		{"whole", GetOptions{}, 0, 10},
		{"from the middle", GetOptions{Offset: 4}, 4, 6},
		{"part", GetOptions{Offset: 4, Length: 3}, 4, 3},
		{"longer than the object", GetOptions{Offset: 4, Length: 100}, 4, 6},
		{"at the end", GetOptions{Offset: 10}, 10, 0},
		{"after the end", GetOptions{Offset: 11, Length: 1}, 10, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			offset, length, err := tt.opts.Range(10)
			require.NoError(t, err)
			assert.Equal(t, tt.wantOffset, offset)
			assert.Equal(t, tt.wantLength, length)
		})
	}
	for _, opts := range []GetOptions{{Offset: -1}, {Length: -1}} {
		_, _, err := opts.Range(10)
		assert.ErrorContains(t, err, "negative")
	}
}

func TestListOptionsSelects(t *testing.T) {
	for _, tt := range []struct {
		name string
		opts ListOptions
		key  string
		want bool
	}{
		{"everything", ListOptions{}, "a/b", true},
		{"prefix", ListOptions{Prefix: "a/"}, "a/b", true},
		{"another prefix", ListOptions{Prefix: "a/"}, "ab", false},
		{"after", ListOptions{StartAfter: "a"}, "a/b", true},
		{"not after itself", ListOptions{StartAfter: "a/b"}, "a/b", false},
		{"shallow", ListOptions{Shallow: true}, "a", true},
		{"shallow hides what is deeper", ListOptions{Shallow: true}, "a/b", false},
		{"shallow counts after the prefix", ListOptions{Shallow: true, Prefix: "a/"}, "a/b", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, tt.opts.Selects(tt.key))
		})
	}
}
