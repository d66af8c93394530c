package localstore_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/localstore"
)

func TestParseURL(t *testing.T) {
	for _, tt := range []struct {
		url  string
		want localstore.Options
	}{
		{"local", localstore.Options{}},
		{"local://", localstore.Options{}},
		{"auto", localstore.Options{}},
		{"local?root=/mnt", localstore.Options{Root: "/mnt"}},
		{"local?root=/mnt%20x&root=/other", localstore.Options{Root: "/mnt x"}},
		{"auto?store=/gnu/store&state=/var/nix&real=/data/store",
			localstore.Options{StoreDir: "/gnu/store", StateDir: "/var/nix", RealStoreDir: "/data/store"}},
		{"local?root=/mnt&read-only=true&require-sigs=false&log=/var/log/nix", localstore.Options{Root: "/mnt", LogDir: "/var/log/nix"}},
		{"local:/mnt", localstore.Options{Root: "/mnt"}},
		{"local:///mnt", localstore.Options{Root: "/mnt"}},
		{"local:///mnt%20x?store=/gnu/store", localstore.Options{Root: "/mnt x", StoreDir: "/gnu/store"}},
		{"local:", localstore.Options{}},
		{"local?root=/a+b", localstore.Options{Root: "/a+b"}},
		{"/mnt", localstore.Options{Root: "/mnt"}},
		{"./chroot?store=/gnu/store", localstore.Options{Root: "./chroot", StoreDir: "/gnu/store"}},
	} {
		t.Run(tt.url, func(t *testing.T) {
			got, err := localstore.ParseURL(tt.url)
			require.NoError(t, err)
			assert.Equal(t, tt.want, got)
		})
	}
	for _, tt := range []struct {
		name, url, wantErr string
		notLocal           bool
	}{
		{"a cache", "s3://bucket", `store URL "s3://bucket": not the URL of a local store`, true},
		{"a folder with a cache", "file:///cache", "not the URL of a local store", true},
		{"another machine's", "ssh://host", "not the URL of a local store", true},
		{"a relative root", "local:mnt", "not the URL of a local store", true},
		{"a host", "local://host/mnt", "not the URL of a local store", true},
		{"a badly encoded root", "local:/%zz", "not the URL of a local store", true},
		{"nothing", "", "not the URL of a local store", true},
		{"a word", "remote", "not the URL of a local store", true},
		{"a daemon", "daemon", `its store can be read as "local"`, true},
		{"a daemon's socket", "unix:///run/nix.sock", `its store can be read as "local"`, true},
		{"a misspelt parameter", "local?rot=/mnt", `unknown parameter "rot", known are root, store, real, state and log`, false},
		{"a malformed query", "local?root=%zz", "invalid URL escape", false},
		{"two roots", "/mnt?root=/other", "expected either a path or the parameter root", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := localstore.ParseURL(tt.url)
			require.ErrorContains(t, err, tt.wantErr)
			if tt.notLocal {
				require.ErrorIs(t, err, localstore.ErrNotLocal)
			} else {
				require.NotErrorIs(t, err, localstore.ErrNotLocal)
			}
			_, err = localstore.OpenURL(t.Context(), tt.url)
			require.ErrorContains(t, err, tt.wantErr)
		})
	}
}

func TestEnvironment(t *testing.T) {
	for name, value := range map[string]string{"NIX_STORE_DIR": "/gnu/store", "NIX_STATE_DIR": "/state", "NIX_LOG_DIR": "/log"} {
		t.Setenv(name, value)
	}
	usual := localstore.Options{StoreDir: "/gnu/store", StateDir: "/state", LogDir: "/log"}
	for _, tt := range []struct {
		remote, url string
		want        localstore.Options
	}{
		{"", "local", usual},
		{"", "auto", usual},
		{"daemon", "auto", usual},
		{"auto", "auto", usual},
		{"https://cache.example.org", "auto", usual},
		{"", "local?root=/mnt", localstore.Options{Root: "/mnt", StoreDir: "/gnu/store"}},
		{"local?root=/mnt", "auto", localstore.Options{Root: "/mnt", StoreDir: "/gnu/store"}},
		{"/mnt", "auto", localstore.Options{Root: "/mnt", StoreDir: "/gnu/store"}},
		{"local?root=/mnt", "local", usual},
		{"local?root=/mnt", "auto?store=/nix/store", localstore.Options{StoreDir: "/nix/store", StateDir: "/state", LogDir: "/log"}},
		{"", "local?state=/s&log=/l&store=/x", localstore.Options{StoreDir: "/x", StateDir: "/s", LogDir: "/l"}},
	} {
		t.Setenv("NIX_REMOTE", tt.remote)
		got, err := localstore.ParseURL(tt.url)
		require.NoError(t, err)
		assert.Equal(t, tt.want, got, "%s with NIX_REMOTE=%s", tt.url, tt.remote)
	}
}

func TestURLErrorsHideLogins(t *testing.T) {
	for _, rawURL := range []string{"ssh://user:hunter2@host", "local?root=/x&ro=a:hunter2@b", "local:%zz:hunter2@x"} {
		_, err := localstore.ParseURL(rawURL)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func FuzzParseURL(f *testing.F) {
	for _, seed := range []string{"local", "auto", "local?root=/mnt&store=/nix/store", "/mnt", "daemon", "s3://b?root=%zz"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		opts, err := localstore.ParseURL(s)
		if err != nil {
			assert.Equal(t, localstore.Options{}, opts)
		}
	})
}
