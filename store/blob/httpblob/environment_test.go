package httpblob_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/blob/httpblob"
)

// TestLoginsChange: what files say counts as it is now.
func TestLoginsChange(t *testing.T) {
	dir := t.TempDir()
	netrc, header := filepath.Join(dir, "netrc"), filepath.Join(dir, "header")
	var last *http.Request
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		last = r
		return &http.Response{StatusCode: 200, Header: make(http.Header), Body: http.NoBody, Request: r}, nil
	})
	for i, password := range []string{"a", "bb", "ccc"} {
		require.NoError(t, os.WriteFile(netrc, []byte("machine Cache.Example login me password "+password), 0o600))
		require.NoError(t, os.WriteFile(header, []byte("X-Token: "+password), 0o600))
		if i == 0 {
			t.Setenv("HOME", dir)
		}
		b, err := httpblob.Open("http://cache.example/", httpblob.Options{Transport: transport, Netrc: netrc, HeaderFile: header})
		require.NoError(t, err)
		for _, again := range []string{password, password + "x"} {
			require.NoError(t, os.WriteFile(netrc, []byte("machine cache.example login me password "+again), 0o600))
			require.NoError(t, os.WriteFile(header, []byte("X-Token: "+again), 0o600))
			_, err = b.Head(t.Context(), "key")
			require.NoError(t, err)
			_, got, _ := last.BasicAuth()
			assert.Equal(t, again, got)
			assert.Equal(t, again, last.Header.Get("X-Token"))
		}
		require.NoError(t, b.Close())
	}
}

func TestHeaderFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "headers")
	for _, text := range []string{"hunter2", "Name hunter2", ": hunter2", "A: x\nhunter2", "Na me: hunter2", "A: b\x00hunter2"} {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		_, err := httpblob.Open("http://cache.example/", httpblob.Options{HeaderFile: file})
		require.ErrorContains(t, err, "is not a header", text)
		assert.NotContains(t, err.Error(), "hunter2")
	}
	_, err := httpblob.Open("http://cache.example/", httpblob.Options{HeaderFile: file + ".absent"})
	require.ErrorIs(t, err, os.ErrNotExist)
}

// TestEnvironment reads the netrc files that Nix and other tools read.
func TestEnvironment(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		file := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	login := func() string {
		var user string
		b, err := httpblob.Open("http://cache.example/", httpblob.Options{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			user, _, _ = r.BasicAuth()
			return &http.Response{StatusCode: 200, Header: make(http.Header), Body: http.NoBody, Request: r}, nil
		})})
		require.NoError(t, err)
		defer b.Close()
		_, err = b.Head(t.Context(), "key")
		require.NoError(t, err)
		return user
	}
	t.Setenv("HOME", filepath.Join(dir, "home"))
	t.Setenv("USERPROFILE", filepath.Join(dir, "home"))
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(dir, "config"))
	t.Setenv("NIX_CONF_DIR", filepath.Join(dir, "nix"))
	t.Setenv("NIX_CONFIG", "")
	assert.Empty(t, login())
	entry := func(user string) string { return "machine cache.example login " + user + " password x" }
	write("home/.netrc", entry("home"))
	assert.Equal(t, "home", login())
	write("nix/netrc", entry("default"))
	assert.Equal(t, "default", login())
	write("nix/one", entry("one"))
	write("nix/nix.conf", "!include more.conf\n# netrc-file = /x\nnetrc-file = "+filepath.Join(dir, "nix/one")+" # comment\n")
	assert.Equal(t, "one", login())
	write("user", entry("user"))
	write("config/nix/nix.conf", "netrc-file = "+filepath.Join(dir, "user"))
	assert.Equal(t, "user", login())
	t.Setenv("NIX_USER_CONF_FILES", filepath.Join(dir, "absent"))
	assert.Equal(t, "one", login())
	write("two", entry("two"))
	t.Setenv("NIX_CONFIG", "max-jobs = 1\nnetrc-file = "+filepath.Join(dir, "two"))
	assert.Equal(t, "two", login())
	write("two", "machine another.example login x password x")
	assert.Equal(t, "home", login(), "the next file")
}
