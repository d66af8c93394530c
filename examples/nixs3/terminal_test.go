package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// stepwise serves a cache whose archives come in quarters. It waits before each
// quarter until the test sends to the channel or closes it.
func stepwise(t *testing.T, dir string) (url string, step chan struct{}) {
	t.Helper()
	step = make(chan struct{})
	files := http.FileServer(http.Dir(dir))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/nar/") {
			files.ServeHTTP(w, r)
			return
		}
		data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(r.URL.Path)))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(data)))
		for i := range 4 {
			select {
			case <-step:
			case <-r.Context().Done():
				return
			}
			_, _ = w.Write(data[i*len(data)/4 : (i+1)*len(data)/4])
			_ = http.NewResponseController(w).Flush()
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, step
}

// bigCache makes a cache with one path, of 16 MiB.
func bigCache(t *testing.T) (dir, path string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "cache")
	file := filepath.Join(t.TempDir(), "big")
	contents := make([]byte, 16<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(contents)
	require.NoError(t, os.WriteFile(file, contents, 0o600))
	got := nixs3(t, "", "add", "--to", fileURL(t, dir)+"?compression=none", file)
	require.Equal(t, exitOK, got.exit, got.stderr)
	return dir, strings.TrimSpace(got.stdout)
}

// pane is a terminal of 90 columns with a shell in it, to which nixs3 is this
// program.
type pane struct {
	t      *testing.T
	socket string
}

func newPane(t *testing.T) pane {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		missing(t, "tmux is not installed")
	}
	program, err := os.Executable()
	require.NoError(t, err)
	p := pane{t, filepath.Join(t.TempDir(), "tmux")}
	p.tmux("-f", os.DevNull, "new-session", "-d", "-x", "90", "-y", "20", "PS1='$ ' exec sh -i")
	t.Cleanup(func() { p.tmux("kill-server") })
	p.shows(`^\$ ?$`)
	p.types("nixs3() { " + beCommand + "=1 " + quoted(program) + ` "$@"; echo "status $?"; }; clear`)
	p.shows(`^\$ ?$`)
	return p
}

func (p pane) tmux(args ...string) string {
	p.t.Helper()
	cmd := exec.Command("tmux", append([]string{"-S", p.socket}, args...)...)
	cmd.Env = append(os.Environ(), "TMUX=", "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	require.NoError(p.t, err, "%s: %s", args, out)
	return string(out)
}

// types enters a line.
func (p pane) types(line string) {
	p.t.Helper()
	p.tmux("send-keys", "-l", line+"\n")
}

// lines returns what the terminal shows.
func (p pane) lines() []string {
	p.t.Helper()
	return strings.Split(strings.TrimRight(p.tmux("capture-pane", "-p"), "\n"), "\n")
}

// shows waits for a last line that matches and returns all lines.
func (p pane) shows(pattern string) (lines []string) {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	require.Eventually(p.t, func() bool {
		lines = p.lines()
		return re.MatchString(lines[len(lines)-1])
	}, time.Minute, 20*time.Millisecond, "expected %s", pattern)
	return lines
}

var percent = regexp.MustCompile(`(\d+)% \|`)

// percent waits for a bar that is further than a percentage.
func (p pane) percent(above int) (now int) {
	p.t.Helper()
	require.Eventually(p.t, func() bool {
		lines := p.lines()
		found := percent.FindStringSubmatch(lines[len(lines)-1])
		if found == nil {
			return false
		}
		now, _ = strconv.Atoi(found[1])
		return now > above
	}, time.Minute, 20*time.Millisecond, "a bar above %d%%", above)
	return now
}

// TestTerminal watches a copy on a terminal: the bar moves within an archive, an
// interrupt leaves no trace of it, and the summary has a line to itself.
func TestTerminal(t *testing.T) {
	p := newPane(t)
	dir, path := bigCache(t)
	from, step := stepwise(t, dir)
	to := filepath.Join(t.TempDir(), "to")
	copying := fmt.Sprintf("nixs3 copy --from %s --to %s %s", from, to, path)

	p.types(copying)
	next := func() {
		select {
		case step <- struct{}{}:
		case <-time.After(time.Minute):
			t.Fatalf("nothing reads the archive:\n%s", strings.Join(p.lines(), "\n"))
		}
	}
	next()
	first := p.percent(5)
	next()
	assert.Greater(t, p.percent(first), first)
	lines := p.lines()
	assert.Regexp(t, `^0/1 paths big +\d+% \|█+ *\| \(.*iB/s\) \[\d+s:\d+s\]$`, strings.TrimSpace(lines[len(lines)-1]))
	p.tmux("send-keys", "C-c")
	lines = p.shows(`^\$ ?$`)
	assert.Equal(t, []string{"nixs3: interrupted", "status 130", "$"}, trimmed(lines[len(lines)-3:]))
	assert.NotContains(t, strings.Join(lines, "\n"), "%", "no bar is left")

	close(step)
	p.types("clear; " + copying)
	require.Eventually(t, func() bool {
		lines = p.lines()
		// The screen shows the interrupted copy until it is cleared.
		return len(lines) > 2 && strings.HasPrefix(lines[len(lines)-2], "status") && !strings.Contains(strings.Join(lines, "\n"), "interrupted")
	}, time.Minute, 20*time.Millisecond)
	assert.Contains(t, strings.Join(trimmed(lines), " "), "1 of 1 paths copied, 0 there already: 16.0 MiB of archives, 16.0 MiB read")
	assert.Contains(t, lines, "status 0")
	assert.NotContains(t, strings.Join(lines, "\n"), "%", "no bar is left")
}

func trimmed(lines []string) (out []string) {
	for _, line := range lines {
		out = append(out, strings.TrimSpace(line))
	}
	return out
}

// TestPipe holds output that is not for a terminal to plain lines.
func TestPipe(t *testing.T) {
	dir, path := bigCache(t)
	from, step := stepwise(t, dir)
	close(step)
	got := nixs3(t, "", "copy", "--from", from, "--to", filepath.Join(t.TempDir(), "to"), path)
	require.Equal(t, exitOK, got.exit, got.stderr)
	assert.NotContains(t, got.stderr, "\x1b")
	assert.NotContains(t, got.stderr, "\r")
}

// TestScreen has messages come while a bar is drawn.
func TestScreen(t *testing.T) {
	var out strings.Builder
	s := newScreen(&out)
	update, end := s.bar()
	update(10, 5, "half")
	out.Reset()
	_, err := io.WriteString(s, "a message\n")
	require.NoError(t, err)
	erased, message, _ := strings.Cut(out.String(), "a message")
	assert.Equal(t, "\n", message)
	assert.Regexp(t, "^\r *\r?$", erased)
	out.Reset()
	end()
	_, err = io.WriteString(s, "more\n")
	require.NoError(t, err)
	assert.Equal(t, "more\n", out.String(), "the bar is drawn no more")
}
