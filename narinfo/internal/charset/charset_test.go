package charset_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"

	"example.com/nixs3/narinfo/internal/charset"
)

func TestOutside(t *testing.T) {
	set := charset.Of("ab\x00\xff")
	for length := range 20 {
		text := bytes.Repeat([]byte("b\xffa\x00b"), 4)[:length]
		assert.Equal(t, -1, set.Outside(string(text)))
		for i := range text {
			bad := bytes.Clone(text)
			bad[i] = 'c'
			assert.Equal(t, i, set.Outside(string(bad)))
			bad[length-1] = 1
			assert.Equal(t, i, set.Outside(string(bad)), "the first")
		}
	}
}

func TestOf(t *testing.T) {
	set := charset.Of("az\x00\xff")
	for c := range 256 {
		in := c == 'a' || c == 'z' || c == 0 || c == 0xff
		assert.Equal(t, in, set.Outside(string([]byte{byte(c)})) < 0, "%#x", c)
	}
}
