package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestConfiguration(t *testing.T) {
	cache := testCache(t)
	for name, tt := range map[string]struct {
		config string
		env    string
		args   []string
		stdout string
		stderr string
		exit   int
	}{
		"for all commands":          {`{"store": "` + cache + `"}`, "", nil, hello + "\n", "", exitOK},
		"for one":                   {`{"store": "mem://", "path-info": {"store": "` + cache + `"}}`, "", nil, hello + "\n", "", exitOK},
		"for another":               {`{"ls": {"store": "` + cache + `"}}`, "", nil, "", "missing flags: --store", exitUsage},
		"environment first":         {`{"store": "mem://"}`, cache, nil, hello + "\n", "", exitOK},
		"command line first":        {`{"store": "mem://"}`, "mem://", []string{"--store", cache}, hello + "\n", "", exitOK},
		"environment alone":         {`{}`, cache, nil, hello + "\n", "", exitOK},
		"unknown name":              {`{"stoer": "x"}`, cache, nil, "", `unknown name "stoer"`, exitUsage},
		"unknown name in a command": {`{"copy": {"store": "x"}}`, cache, nil, "", `"copy": unknown name "store"`, exitUsage},
		"not JSON":                  {`store = x`, cache, nil, "", "configuration", exitUsage},
		"a command without object":  {`{"copy": "x"}`, cache, nil, "", "expected an object", exitUsage},
		"a flag with an object":     {`{"store": {}}`, cache, nil, "", "expected a value", exitUsage},
		"a value of another type":   {`{"json": "perhaps"}`, cache, nil, "", "bool value", exitUsage},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "config.json")
			require.NoError(t, os.WriteFile(file, []byte(tt.config), 0o600))
			t.Setenv("NIXS3_CONFIG", file)
			if tt.env != "" {
				t.Setenv("NIXS3_STORE", tt.env)
			}
			got := nixs3(t, "", append(append([]string{"path-info"}, tt.args...), hello)...)
			assert.Equal(t, tt.stdout, got.stdout)
			assert.Contains(t, got.stderr, tt.stderr)
			assert.Equal(t, tt.exit, got.exit)
		})
	}
	t.Run("named and missing", func(t *testing.T) {
		t.Setenv("NIXS3_CONFIG", filepath.Join(t.TempDir(), "none"))
		got := nixs3(t, "", "version")
		assert.Contains(t, got.stderr, "configuration: open")
		assert.Equal(t, exitUsage, got.exit)
	})
}
