package lab_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"example.com/nixs3/store/internal/lab"
)

func TestMissing(t *testing.T) {
	t.Run("skips", func(t *testing.T) {
		t.Setenv("NIXS3_REQUIRE", "")
		r := &recorder{TB: t}
		lab.Missing(r, "no nix")
		assert.Equal(t, "no nix", r.skipped)
		assert.Empty(t, r.failed)
	})
	t.Run("fails if it is required", func(t *testing.T) {
		t.Setenv("NIXS3_REQUIRE", "1")
		r := &recorder{TB: t}
		lab.Missing(r, "no nix")
		assert.Equal(t, "no nix, and NIXS3_REQUIRE=1 requires it", r.failed)
	})
}

// recorder is a test that records how it would have ended.
type recorder struct {
	testing.TB
	skipped, failed string
}

func (r *recorder) Helper()           {}
func (r *recorder) Skip(args ...any)  { r.skipped = args[0].(string) }
func (r *recorder) Fatal(args ...any) { r.failed = args[0].(string) }
