//go:build unix

package fileblob_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/fileblob"
)

// inTime ends the test if do blocks.
func inTime(t *testing.T, what string, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		require.FailNow(t, "blocks: "+what)
	}
}

// everyOperation does everything that a key, or a prefix of keys, takes.
func everyOperation(t *testing.T, b *fileblob.Bucket, key string) map[string]error {
	errs := map[string]error{}
	do := func(name string, op func(ctx context.Context) error) {
		inTime(t, name+" "+key, func() { errs[name] = op(t.Context()) })
	}
	do("Get", func(ctx context.Context) error {
		obj, err := b.Get(ctx, key, blob.GetOptions{})
		if err == nil {
			obj.Body.Close()
		}
		return err
	})
	do("Head", func(ctx context.Context) error {
		_, err := b.Head(ctx, key)
		return err
	})
	do("CopyFrom", func(ctx context.Context) error {
		_, err := b.CopyFrom(ctx, "copy", b, key, blob.PutOptions{})
		return err
	})
	for _, prefix := range []string{"", key, key + "/"} {
		do("List "+prefix, func(ctx context.Context) (err error) {
			for _, err = range b.List(ctx, blob.ListOptions{Prefix: prefix}) {
			}
			return err
		})
		do("Uploads "+prefix, func(ctx context.Context) (err error) {
			for _, err = range b.Uploads(ctx, prefix) {
			}
			return err
		})
	}
	return errs
}

// TestSpecialFiles: what is not a regular file is not an object, and nothing
// waits for it.
func TestSpecialFiles(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "folder"), 0o755))
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o666); err != nil {
		t.Skip("no named pipes here:", err)
	}
	require.NoError(t, os.Symlink("pipe", filepath.Join(dir, "link-to-pipe")))
	require.NoError(t, os.Symlink("folder", filepath.Join(dir, "link-to-folder")))
	require.NoError(t, os.Symlink("/dev/zero", filepath.Join(dir, "link-to-device")))
	t.Chdir(dir) // names of sockets are short
	socket, err := net.Listen("unix", "socket")
	require.NoError(t, err)
	defer socket.Close()

	b := open(t, dir, fileblob.Options{})
	defer b.Close()
	for _, key := range []string{"pipe", "pipe/below", "link-to-pipe", "folder", "link-to-folder", "socket", "link-to-device"} {
		for op, err := range everyOperation(t, b, key) {
			if op == "Get" || op == "Head" || op == "CopyFrom" {
				if key != "link-to-device" { // leads outside
					require.ErrorIs(t, err, blob.ErrNotFound, "%s %s", op, key)
				}
				require.Error(t, err, "%s %s", op, key)
				continue
			}
			if key != "link-to-device" {
				require.NoError(t, err, "%s, %s", op, key)
			}
		}
	}
	for attrs, err := range b.List(t.Context(), blob.ListOptions{}) {
		require.Fail(t, "listed", "%v %v", attrs, err)
	}

	// A write takes the place of a pipe, and does not write into it.
	inTime(t, "Put", func() {
		_, err := b.Put(t.Context(), "pipe", strings.NewReader("x"), blob.PutOptions{})
		assert.NoError(t, err)
		_, err = b.Put(t.Context(), "pipe/below", strings.NewReader("x"), blob.PutOptions{})
		assert.Error(t, err)
		assert.NoError(t, b.Delete(t.Context(), "pipe", "socket", "folder"))
	})
}

// TestDirectoryIsAPipe: a bucket in what is not a directory fails at once.
func TestDirectoryIsAPipe(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(dir, 0o666); err != nil {
		t.Skip("no named pipes here:", err)
	}
	inTime(t, "Open", func() {
		for _, opts := range []fileblob.Options{{}, {Create: true}} {
			_, err := fileblob.Open(dir, opts)
			assert.ErrorContains(t, err, "expected a directory, got a named pipe")
		}
	})
}

// TestSwappedNames has another process swap a folder and a file of the bucket
// for links to the outside and for pipes, again and again, while the bucket is
// used. Nothing outside is read, made, changed or removed, and nothing blocks.
func TestSwappedNames(t *testing.T) {
	parent := t.TempDir()
	dir, outside := filepath.Join(parent, "cache"), filepath.Join(parent, "outside")
	for _, name := range []string{filepath.Join(dir, "nar"), outside} {
		require.NoError(t, os.MkdirAll(name, 0o755))
	}
	secret := filepath.Join(outside, "object")
	require.NoError(t, os.WriteFile(secret, []byte("secret"), 0o600))
	before, err := os.Stat(secret)
	require.NoError(t, err)
	if err := syscall.Mkfifo(filepath.Join(parent, "pipe"), 0o666); err != nil {
		t.Skip("no named pipes here:", err)
	}

	stop := make(chan struct{})
	var attacker sync.WaitGroup
	attacker.Go(func() {
		nar, object := filepath.Join(dir, "nar"), filepath.Join(dir, "object")
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			// Whether a step succeeds does not matter.
			aside := filepath.Join(parent, "aside")
			_ = os.Rename(nar, aside)
			_ = os.Symlink(outside, nar)
			_ = os.Remove(object)
			_ = os.Symlink(secret, object)
			_ = os.Remove(nar)
			_ = os.Rename(aside, nar)
			_ = os.Remove(object)
			_ = os.Link(filepath.Join(parent, "pipe"), object)
		}
	})
	b := open(t, dir, fileblob.Options{NoSync: true})
	defer b.Close()
	inTime(t, "use", func() {
		for range 300 {
			_, _ = b.Put(t.Context(), "nar/object", strings.NewReader("mine"), blob.PutOptions{})
			_, _ = b.Put(t.Context(), "object", strings.NewReader("mine"), blob.PutOptions{})
			for _, key := range []string{"nar/object", "object"} {
				data, _, err := blob.ReadAll(t.Context(), b, key, 100)
				if err == nil && string(data) != "mine" {
					assert.Fail(t, "read from outside", "%s: %q", key, data)
				}
			}
			for range b.List(t.Context(), blob.ListOptions{}) {
			}
			_ = b.Delete(t.Context(), "nar/object", "object")
		}
	})
	close(stop)
	attacker.Wait()

	entries, err := os.ReadDir(outside)
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing was made outside")
	after, err := os.Stat(secret)
	require.NoError(t, err)
	assert.Equal(t, before.ModTime(), after.ModTime())
	assert.Equal(t, before.Mode(), after.Mode())
	data, err := os.ReadFile(secret)
	require.NoError(t, err)
	assert.Equal(t, "secret", string(data))
}

// TestModes: what the bucket makes can be read by everybody and written by its
// owner, whatever the umask.
func TestModes(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o077, 0o177} {
		dir := filepath.Join(t.TempDir(), "new", "cache")
		old := syscall.Umask(umask)
		b := open(t, dir, fileblob.Options{Create: true})
		_, err := b.Put(t.Context(), "nar/deep/object", strings.NewReader("x"), blob.PutOptions{})
		staged, stageErr := b.Stage(t.Context())
		var commitErr error
		if stageErr == nil {
			_, commitErr = staged.Commit("object", blob.PutOptions{})
		}
		syscall.Umask(old)
		require.NoError(t, errors.Join(err, stageErr, commitErr), "umask %o", umask)
		require.NoError(t, b.Close())
		for name, want := range map[string]fs.FileMode{
			"..": 0o755, ".": 0o755, "nar": 0o755, "nar/deep": 0o755, "nar/deep/object": 0o644, "object": 0o644,
		} {
			info, err := os.Stat(filepath.Join(dir, name))
			require.NoError(t, err)
			assert.Equal(t, want, info.Mode().Perm(), "%s with umask %o", name, umask)
		}
	}
}
