package naming

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestError(t *testing.T) {
	err := errors.New("open a: denied")
	for _, tt := range []struct{ name, id, want string }{
		{"b", "", "b: open a: denied"},
		{"a", "", "open a: denied"},
		{"copying a to b", "a", "open a: denied"},
		{"copying a to b", "b", "copying a to b: open a: denied"},
	} {
		got := Error(tt.name, tt.id, err)
		assert.EqualError(t, got, tt.want)
		assert.ErrorIs(t, got, err)
	}
}
