package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/storetest"
	"example.com/nixs3/store/storetest/fakes3"
)

// hourNix is what the new user builds: a tool with a library, something that CI
// builds, and both once more as content-addressed derivations.
const hourNix = `
let
  drv = name: script: extra: derivation ({ inherit name; system = builtins.currentSystem;
    builder = "/bin/sh"; PATH = "/usr/bin"; args = [ "-c" script ]; } // extra);
  addressed = { __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256"; };
  tool = lib: extra: drv "tool" "mkdir -p $out/bin; echo ${lib} $out > $out/bin/tool" extra;
in rec {
  lib = drv "lib" "echo lib > $out" { };
  user = tool lib { };
  site = drv "site" "echo ${user} > $out" { };
  caLib = drv "ca-lib" "echo lib > $out" addressed;
  caUser = tool caLib addressed;
  caTwo = drv "ca-two" "echo ${caLib} > $out; echo dev > $dev" (addressed // { outputs = [ "out" "dev" ]; });
}`

// hour is a machine of the new user: a Nix, and nixs3 on the PATH.
type hour struct {
	scratchNix
	server *fakes3.Server
}

// newHour returns a machine that reaches a bucket.
func newHour(t *testing.T, server *fakes3.Server) hour {
	t.Helper()
	h := hour{newNix(t), server}
	program, err := os.Executable()
	require.NoError(t, err)
	bin := filepath.Join(h.dir, "bin")
	require.NoError(t, os.Mkdir(bin, 0o755))
	script := fmt.Sprintf("#!/bin/sh\n%s=1 exec %s \"$@\"\n", beCommand, quoted(program))
	require.NoError(t, os.WriteFile(filepath.Join(bin, "nixs3"), []byte(script), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(h.dir, "hour.nix"), []byte(hourNix), 0o644))
	h.configure("experimental-features = nix-command ca-derivations")
	return h
}

// configure adds a line to nix.conf.
func (h hour) configure(line string) {
	h.t.Helper()
	f, err := os.OpenFile(filepath.Join(h.dir, "conf", "nix.conf"), os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(h.t, err)
	_, err = f.WriteString(line + "\n")
	require.NoError(h.t, err)
	require.NoError(h.t, f.Close())
}

// bucket returns the URLs of a part of the bucket, for its writers and readers.
func (h hour) bucket(prefix string) (s3, http string) {
	return "s3://cache/" + prefix + "?endpoint=" + h.server.Endpoint(), h.server.Endpoint() + "/cache/" + prefix
}

// shell starts a script, as typed at a prompt.
func (h hour) shell(script string) *exec.Cmd {
	cmd := h.cmd("/bin/sh", "-ec", script)
	cmd.Env = append(cmd.Env, "PATH="+filepath.Join(h.dir, "bin")+":"+os.Getenv("PATH"))
	return cmd
}

// sh runs a script that must succeed. It returns what it printed, both results
// and messages.
func (h hour) sh(script string) string {
	h.t.Helper()
	out, err := h.shell(script).CombinedOutput()
	require.NoError(h.t, err, "%s\n%s", script, out)
	h.t.Logf("$ %s\n%s", script, out)
	return string(out)
}

// line is sh without the last newline, for a script that prints one line.
func (h hour) line(script string) string {
	h.t.Helper()
	return strings.TrimSuffix(h.sh(script), "\n")
}

// TestFirstHourNix is the transcript of a new user's first hour with the Nix on
// the PATH.
func TestFirstHourNix(t *testing.T) {
	cleanAWS(t)
	server := storetest.NewS3(t, fakes3.Options{Buckets: []string{"cache"}, Anonymous: fakes3.ReadAccess})
	t.Setenv("AWS_ACCESS_KEY_ID", fakes3.DefaultCredentials.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", fakes3.DefaultCredentials.SecretKey)
	mine := newHour(t, server)
	s3, http := mine.bucket("team")

	t.Log(mine.sh("nix --version; nixs3 --version"))
	mine.sh("nixs3 key generate cache-1 >key.sec; nixs3 key public <key.sec >key.pub")
	key := mine.line("cat key.pub")

	// The hook notes what is built, push uploads it.
	mine.sh("nixs3 hook --queue queue >hook; chmod +x hook")
	mine.configure("post-build-hook = " + filepath.Join(mine.dir, "hook"))
	mine.sh("nix-build hour.nix -A user")
	tool := mine.line("readlink result")
	assert.Contains(t, mine.sh("nixs3 push --queue queue --sign-with key.sec --to '"+s3+"'"), "2 of 2 paths copied")
	assert.Empty(t, mine.sh("nixs3 push --queue queue --to '"+s3+"'; ls queue"), "nothing is left to push")

	// CI uploads ./result, and tries again.
	mine.sh("nix-build hour.nix -A site --option post-build-hook ''")
	upload := "echo ./result | nixs3 copy --sign-with key.sec --to '" + s3 + "' --stdin"
	assert.Contains(t, mine.sh(upload), "1 of 3 paths copied, 2 there already")
	assert.Contains(t, mine.sh(upload), "0 of 3 paths copied, 3 there already")
	assert.Contains(t, mine.sh("nixs3 copy --to '"+s3+"' --stdin </dev/null"), "nothing to copy")
	assert.Contains(t, mine.sh("DRV_PATH=/nix/store/x.drv nixs3 copy --to '"+s3+"' --stdin </dev/null"), `"$DRV_PATH^*"`)

	// The logs and realisations of this machine.
	mine.sh("nixs3 log get --store auto ./result; nixs3 realisation list --store auto")

	// A second cache leaves out what the first one serves.
	second, _ := mine.bucket("second")
	copied := mine.sh("nixs3 copy --upstream '" + http + "=" + key + "' --to '" + second + "' ./result")
	assert.Contains(t, copied, "0 of 3 paths copied, 0 there already, 3 served by an upstream")

	t.Run("interrupt and resume", func(t *testing.T) { interruptAndResume(t, mine, tool) })

	// Another machine has the key alone.
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	other := newHour(t, server)
	other.sh("nixs3 fetch --from '" + http + "' --trusted-public-keys '" + key + "' " + tool + " tool")
	assert.Equal(t, mine.line("nixs3 cat --store auto "+tool+"/bin/tool"), other.line("cat tool/bin/tool"))
	assert.Contains(t, other.sh("nixs3 fetch --closure --from '"+http+"' --trusted-public-keys '"+key+"' "+tool+" rootfs; chmod -R u+w rootfs"), "2 paths in rootfs/nix/store")
	other.sh("nix-build hour.nix -A site --option max-jobs 0 --option substituters '" + http + "' --option trusted-public-keys '" + key + "'")
	assert.Equal(t, mine.line("readlink result"), other.line("readlink result"))
}

// interruptAndResume interrupts a copy whose last archive is on its way.
func interruptAndResume(t *testing.T, mine hour, tool string) {
	to, _ := mine.bucket("resumed")
	from, err := store.Open(t.Context(), "s3://cache/team?endpoint="+mine.server.Endpoint())
	require.NoError(t, err)
	defer from.Close()
	path, err := storepath.Default.Parse(tool)
	require.NoError(t, err)
	info, err := from.NarInfo(t.Context(), path)
	require.NoError(t, err)
	lib := info.References[0]
	if lib == path {
		lib = info.References[1]
	}

	mine.server.Inject(fakes3.Fault{Op: "PutObject", Key: "resumed/" + info.URL, Kind: "hang"})
	var stderr strings.Builder
	cmd := mine.shell("exec nixs3 copy --to '" + to + "' " + tool)
	cmd.Stderr = &stderr
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool {
		_, published := mine.server.Object("cache", "resumed/"+lib.HashPart()+".narinfo")
		return published && len(mine.server.PendingFaults()) == 0
	}, time.Minute, 10*time.Millisecond)
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	require.Error(t, cmd.Wait())
	assert.Equal(t, exitInterrupted, cmd.ProcessState.ExitCode(), stderr.String())
	lines := strings.Split(stderr.String(), "\n")
	assert.Equal(t, []string{"nixs3: interrupted", ""}, lines[max(0, len(lines)-2):], "the last line")

	assert.Contains(t, mine.sh("nixs3 copy --to '"+to+"' "+tool), "1 of 2 paths copied, 1 there already")
	cache, err := store.Open(t.Context(), to)
	require.NoError(t, err)
	defer cache.Close()
	report, err := storetest.CheckCache(t.Context(), cache.Bucket(), storetest.CheckOptions{Uploads: true})
	require.NoError(t, err)
	assert.Equal(t, 2, report.Paths)
}

// TestContentAddressedNix has Nix substitute a closure of content-addressed
// derivations that nixs3 copied, without building.
func TestContentAddressedNix(t *testing.T) {
	cleanAWS(t)
	server := storetest.NewS3(t, fakes3.Options{Buckets: []string{"cache"}, Anonymous: fakes3.ReadAccess})
	t.Setenv("AWS_ACCESS_KEY_ID", fakes3.DefaultCredentials.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", fakes3.DefaultCredentials.SecretKey)
	mine := newHour(t, server)
	s3, http := mine.bucket("addressed")
	mine.sh("nixs3 key generate cache-1 >key.sec; nixs3 key public <key.sec >key.pub")
	mine.sh("nix-build hour.nix -A caUser")
	mine.sh("nix copy --file hour.nix caUser --to \"file://$PWD/from\"")
	copied := mine.sh("nixs3 copy --from ./from --to '" + s3 + "' --sign-with key.sec ./result")
	assert.Contains(t, copied, "2 of 2 paths copied")
	assert.Regexp(t, ", [12] realisations?:", copied, "new Nix needs only that of the resolved derivation")

	other := newHour(t, server)
	other.sh("nix-build hour.nix -A caUser --option max-jobs 0 --option substituters '" + http + "' --option trusted-public-keys '" + mine.line("cat key.pub") + "'")
	assert.Equal(t, mine.line("readlink result"), other.line("readlink result"))
}

// TestContentAddressedHookNix has the hook note content-addressed builds, of
// which Nix 2.8 tells it only the derivations.
func TestContentAddressedHookNix(t *testing.T) {
	mine := newHour(t, nil)
	mine.sh("nixs3 hook --queue queue >hook; chmod +x hook")
	mine.configure("post-build-hook = " + filepath.Join(mine.dir, "hook"))
	mine.sh("nix-build hour.nix -A caTwo")
	out := mine.line("readlink result")
	pushed := mine.sh("nixs3 push --queue queue --to ./cache; ls queue")
	assert.Contains(t, pushed, "3 of 3 paths copied", "both outputs and the library")
	assert.NotContains(t, pushed, "WARN")
	assert.Contains(t, mine.sh("nixs3 path-info --store ./cache --all"), out+"\n")

	other := newHour(t, nil)
	other.sh("nix-build hour.nix -A caTwo -A caTwo.dev --option max-jobs 0 --option require-sigs false --option substituters file://" + mine.dir + "/cache")
	assert.Equal(t, out, other.line("readlink result"))
}
