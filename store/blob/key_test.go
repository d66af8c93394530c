package blob

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestValidateKey(t *testing.T) {
	for _, tt := range []struct {
		name, key, wantErr string
	}{
		{"ordinary", "nar/1w1fff338fvdw53sqgamddn1b2xgds473pv6y13gizdbqjv4i5p3.nar.zst", ""},
		{"odd but allowed", "a//b/../+ !:=?%ä", ""},
		{"longest", strings.Repeat("k", MaxKeyLength), ""},
		{"empty", "", "invalid key: it is empty"},
		{"too long", strings.Repeat("k", MaxKeyLength+1), "invalid key: it has 1025 bytes, more than 1024"},
		{"not UTF-8", "a\xff", "invalid key: it is not UTF-8"},
		{"NUL", "a\x00b", "invalid key: it contains NUL"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := ValidateKey(tt.key)
			if tt.wantErr == "" {
				assert.NoError(t, err)
				return
			}
			assert.ErrorIs(t, err, ErrInvalidKey)
			assert.EqualError(t, err, tt.wantErr)
		})
	}
}
