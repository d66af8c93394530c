package resume

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseContentRange(t *testing.T) {
	first, last, size, err := ParseContentRange("bytes 5-9/10")
	require.NoError(t, err)
	assert.Equal(t, [3]int64{5, 9, 10}, [3]int64{first, last, size})
	for _, s := range []string{
		"", "bytes", "bytes 5-9", "bytes */10", "bytes 5-9/*", "bytes 9-5/10", "bytes 5-10/10", "bytes -5-9/10",
		"bytes 5-9/10 ", "Bytes 5-9/10", "bytes +5-9/10", "bytes 5-9223372036854775808/9223372036854775809",
	} {
		_, _, _, err := ParseContentRange(s)
		assert.Error(t, err, s)
	}
}

func FuzzParseContentRange(f *testing.F) {
	for _, s := range []string{"bytes 0-0/1", "bytes 5-9/10", "bytes */10", "bytes 9-5/10", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		first, last, size, err := ParseContentRange(s)
		if err != nil {
			return
		}
		require.True(t, 0 <= first && first <= last && last < size, s)
		again := fmt.Sprintf("bytes %d-%d/%d", first, last, size)
		first2, last2, size2, err := ParseContentRange(again)
		require.NoError(t, err)
		require.Equal(t, [3]int64{first, last, size}, [3]int64{first2, last2, size2})
	})
}
