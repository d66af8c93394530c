package serve_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/internal/lab"
)

const (
	figureNAR      = 1 << 30 // bytes of the archive in a directory
	figureS3       = 1 << 28 // bytes of the archive in a bucket
	figureRequests = 20_000
	figureClients  = 500
)

// program is a server whose use of the processor and of memory is read.
type program struct {
	cmd     *exec.Cmd
	address string
}

func startProgram(t *testing.T, address string, env []string, args ...string) *program {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), env...)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}, 30*time.Second, 20*time.Millisecond, args[0])
	return &program{cmd, address}
}

func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// cpu is the time that the program and its children have used.
func (p *program) cpu() time.Duration {
	pid := strconv.Itoa(p.cmd.Process.Pid)
	children, _ := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
	var ticks int64
	for _, pid := range append(strings.Fields(string(children)), pid) {
		stat, _ := os.ReadFile("/proc/" + pid + "/stat")
		_, rest, _ := strings.Cut(string(stat), ") ")
		if fields := strings.Fields(rest); len(fields) > 12 {
			user, _ := strconv.ParseInt(fields[11], 10, 64)
			system, _ := strconv.ParseInt(fields[12], 10, 64)
			ticks += user + system
		}
	}
	return time.Duration(ticks) * time.Second / 100
}

// peak is the most memory that the program has had resident, in MiB.
func (p *program) peak() float64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kib, _ := strconv.ParseFloat(strings.Fields(rest + " 0")[0], 64)
	return kib / 1024
}

// cost is what something took.
type cost struct{ wall, cpu time.Duration }

// measure runs do for each of the programs in turns, and returns the least that
// it took for each.
func measure(programs []*program, turns int, do func(p *program)) []cost {
	best := make([]cost, len(programs))
	for turn := range turns {
		for i, p := range programs {
			cpu, began := p.cpu(), time.Now()
			do(p)
			c := cost{time.Since(began), p.cpu() - cpu}
			if turn == 0 {
				best[i] = c
			}
			best[i].wall, best[i].cpu = min(best[i].wall, c.wall), min(best[i].cpu, c.cpu)
		}
	}
	return best
}

// TestFigures prints the figures of the gateway beside those of nginx, and of
// plain GETs where .ci/lab has started S3 servers. It needs NIXS3_FIGURES=1.
func TestFigures(t *testing.T) {
	if os.Getenv("NIXS3_FIGURES") == "" {
		t.Skip("NIXS3_FIGURES is not set")
	}
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		lab.Missing(t, "nginx is not installed")
	}
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	nixs3 := filepath.Join(dir, "nixs3")
	out, err := exec.Command("go", "build", "-o", nixs3, "../../examples/nixs3").CombinedOutput()
	require.NoError(t, err, string(out))
	cache := filepath.Join(dir, "cache")
	require.NoError(t, os.CopyFS(cache, os.DirFS(lab.Cache(t, "full-xz"))))
	key := "/nar/" + strings.Repeat("0", 52) + ".nar"
	require.NoError(t, os.WriteFile(cache+key, nil, 0o644))
	require.NoError(t, os.Truncate(cache+key, figureNAR))

	at := freeAddress(t)
	config := filepath.Join(dir, "nginx.conf")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `daemon off; user root; worker_processes 2; pid %[1]s/pid; error_log /dev/null;
events { worker_connections 2048; }
http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; server { listen %[2]s; root %[3]s; } }`, dir, at, cache), 0o644))
	rival := startProgram(t, at, nil, nginx, "-c", config)
	at = freeAddress(t)
	ours := startProgram(t, at, nil, nixs3, "serve", "--quiet", "--store", "file://"+cache, "--listen", at)

	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16, DisableCompression: true}}
	defer client.CloseIdleConnections()
	fetch := func(url string, most int64) int64 {
		resp, err := client.Get(url)
		require.NoError(t, err)
		defer resp.Body.Close()
		require.Equal(t, 200, resp.StatusCode, url)
		n, err := io.Copy(io.Discard, io.LimitReader(resp.Body, most))
		require.NoError(t, err)
		return n
	}
	ratio := func(what string, other, own cost, want string) {
		t.Logf("%-34s other %8.3f s, %7.3f s CPU; nixs3 %8.3f s, %7.3f s CPU; ratio %.2f, of CPU %.2f (goal %s)", what,
			other.wall.Seconds(), other.cpu.Seconds(), own.wall.Seconds(), own.cpu.Seconds(),
			float64(other.wall)/float64(own.wall), float64(other.cpu)/float64(max(own.cpu, 1)), want)
	}
	load, _ := os.ReadFile("/proc/loadavg")
	t.Logf("load average %s", bytes.TrimSpace(load))

	narinfos, err := filepath.Glob(cache + "/*.narinfo")
	require.NoError(t, err)
	c := measure([]*program{rival, ours}, 2, func(p *program) {
		var all sync.WaitGroup
		var n atomic.Int64
		for range 16 {
			all.Go(func() {
				for i := n.Add(1); i <= figureRequests; i = n.Add(1) {
					fetch("http://"+p.address+"/"+filepath.Base(narinfos[int(i)%len(narinfos)]), 1<<20)
				}
			})
		}
		all.Wait()
	})
	ratio(fmt.Sprintf("%d narinfos, nginx", figureRequests), c[0], c[1], "0.8")
	c = measure([]*program{rival, ours}, 2, func(p *program) {
		require.EqualValues(t, figureNAR, fetch("http://"+p.address+key, figureNAR))
	})
	ratio("NAR of 1 GiB, nginx", c[0], c[1], "0.9")

	// All of them have begun before the first goes on.
	before := ours.peak()
	var begun, done sync.WaitGroup
	begun.Add(figureClients)
	goOn := make(chan struct{})
	for range figureClients {
		done.Go(func() {
			conn, err := net.Dial("tcp", ours.address)
			if err != nil {
				t.Error(err)
				begun.Done()
				return
			}
			defer conn.Close()
			_, _ = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", key)
			_, err = io.CopyN(io.Discard, conn, 1<<20)
			begun.Done()
			<-goOn
			if _, err2 := io.CopyN(io.Discard, conn, 1<<20); err != nil || err2 != nil {
				t.Error(errors.Join(err, err2))
			}
		})
	}
	begun.Wait()
	close(goOn)
	done.Wait()
	t.Logf("memory: %.0f MiB before, %.0f MiB at the peak with %d downloads (goal %d)", before, ours.peak(), figureClients, 64+figureClients)

	if os.Getenv("NIXS3_TEST_S3") == "" {
		t.Log("no S3 servers: start this with .ci/lab")
		return
	}
	for _, server := range lab.Servers(t) {
		if strings.HasSuffix(server.Name, "-tls") {
			continue
		}
		figuresS3(t, server, nixs3, ratio)
	}
}

// figuresS3 compares the gateway over a bucket with plain GETs of the bucket.
func figuresS3(t *testing.T, server lab.Server, nixs3 string, ratio func(string, cost, cost, string)) {
	url := server.URL(t)
	c := openCache(t, url)
	const key = "nar/x.nar"
	_, err := c.Bucket().Put(t.Context(), key, io.NewSectionReader(zeros{}, 0, figureS3), blob.PutOptions{})
	require.NoError(t, err)
	presigner, ok := blob.As[blob.Presigner](c.Bucket())
	require.True(t, ok)
	plain, err := presigner.PresignGet(t.Context(), key, time.Hour)
	require.NoError(t, err)
	at := freeAddress(t)
	gateway := startProgram(t, at, nil, nixs3, "serve", "--quiet", "--store", url, "--listen", at)
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	defer client.CloseIdleConnections()
	// get returns the times to the first byte and to the last of n bytes.
	get := func(url string, n int64) (first, whole time.Duration) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		require.NoError(t, err)
		began := time.Now()
		resp, err := client.Do(r)
		require.NoError(t, err)
		defer resp.Body.Close()
		require.Equal(t, 200, resp.StatusCode)
		_, err = io.ReadFull(resp.Body, make([]byte, 1))
		require.NoError(t, err)
		first = time.Since(began)
		_, err = io.CopyN(io.Discard, resp.Body, n-1)
		require.NoError(t, err)
		return first, time.Since(began)
	}
	urls := []string{plain, "http://" + gateway.address + "/" + key}
	var firsts [2][]time.Duration
	for range 40 {
		for i, url := range urls {
			first, _ := get(url, 1)
			firsts[i] = append(firsts[i], first)
		}
	}
	best := [2]cost{{wall: time.Hour}, {wall: time.Hour}}
	for range 3 {
		for i, url := range urls {
			cpu := gateway.cpu()
			_, whole := get(url, figureS3)
			best[i].wall, best[i].cpu = min(best[i].wall, whole), gateway.cpu()-cpu
		}
	}
	ratio("NAR of 256 MiB, GET of "+server.Name, best[0], best[1], "0.9")
	for i := range firsts {
		slices.Sort(firsts[i])
	}
	bucket, ours := firsts[0][len(firsts[0])/2], firsts[1][len(firsts[1])/2]
	t.Logf("first byte of a NAR, %s: %v in the median, through the gateway %v, more by %v (goal 2ms)", server.Name, bucket, ours, ours-bucket)
}

// zeros is an endless file of zeros.
type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}
