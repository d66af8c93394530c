package store_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestPromisesHaveTests holds that every test that SECURITY.md names is there.
func TestPromisesHaveTests(t *testing.T) {
	page, err := os.ReadFile("../.github/SECURITY.md")
	require.NoError(t, err)
	named := regexp.MustCompile("`(Test\\w+)`").FindAllSubmatch(page, -1)
	require.NotEmpty(t, named)
	var tests strings.Builder
	require.NoError(t, filepath.WalkDir("..", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		text, err := os.ReadFile(name)
		tests.Write(text)
		return err
	}))
	for _, match := range named {
		assert.Contains(t, tests.String(), "\nfunc "+string(match[1])+"(", "a promise without its test")
	}
}
