package codec_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/codec"
)

// narOf returns the NAR of a regular file.
func narOf(contents []byte) []byte {
	var nar []byte
	str := func(s string) {
		nar = binary.LittleEndian.AppendUint64(nar, uint64(len(s)))
		nar = append(nar, s...)
		nar = append(nar, make([]byte, -len(s)&7)...)
	}
	for _, s := range []string{"nix-archive-1", "(", "type", "regular", "contents", string(contents), ")"} {
		str(s)
	}
	return nar
}

// TestNixReadsWhatIsWritten has a real Nix copy store paths out of a cache
// whose NARs are compressed in every way that there is.
func TestNixReadsWhatIsWritten(t *testing.T) {
	nix, err := exec.LookPath("nix")
	if err != nil {
		t.Skip("nix is not installed")
	}
	cache, lab := t.TempDir(), t.TempDir()
	writeFile := func(name, text string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
		require.NoError(t, os.WriteFile(name, []byte(text), 0o644))
	}
	writeFile(filepath.Join(lab, "conf/nix.conf"), "experimental-features = nix-command\nbuild-users-group =\nsubstituters =\n")
	writeFile(filepath.Join(cache, "nix-cache-info"), "StoreDir: /nix/store\n")
	t.Cleanup(func() { // what is in a store is read-only
		_ = filepath.WalkDir(lab, func(name string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				_ = os.Chmod(name, 0o755)
			}
			return nil
		})
	})

	small, large := narOf(text(10_000)), narOf(frames(3))
	slowNar := narOf(append(make([]byte, 8<<20), text(1000)...))
	want := map[string][32]byte{}
	for _, name := range writable {
		for _, parallel := range []bool{false, true} {
			nar := small
			switch {
			case parallel && slow[name]:
				nar = slowNar
			case parallel:
				nar = large
			}
			hashPart := fmt.Sprintf("%032d", len(want))
			path := "/nix/store/" + hashPart + "-" + name
			want[path] = sha256.Sum256(nar)
			url := "nar/" + hashPart + ".nar"
			writeFile(filepath.Join(cache, url), string(encode(t, name, nar, codec.WriterOptions{Level: 1, Parallel: parallel})))
			writeFile(filepath.Join(cache, hashPart+".narinfo"), fmt.Sprintf(
				"StorePath: %s\nURL: %s\nCompression: %s\nNarHash: sha256:%x\nNarSize: %d\nReferences: \n",
				path, url, name, want[path], len(nar)))
		}
	}

	env := append(os.Environ(), "HOME="+lab, "XDG_CACHE_HOME="+lab, "NIX_CONF_DIR="+lab+"/conf",
		"NIX_USER_CONF_FILES=/dev/null", "NIX_REMOTE=local?root="+lab+"/root")
	for path, hash := range want {
		t.Run(filepath.Base(path), func(t *testing.T) {
			cmd := exec.Command(nix, "copy", "--no-check-sigs", "--from", "file://"+cache, path)
			cmd.Env = env
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			contents, err := os.ReadFile(filepath.Join(lab, "root", path))
			require.NoError(t, err)
			require.Equal(t, hash, sha256.Sum256(narOf(contents)))
		})
	}
}
