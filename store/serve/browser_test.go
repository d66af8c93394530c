package serve_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/internal/lab"
)

// browser is a Chromium that is driven over a pipe by the DevTools protocol.
type browser struct {
	t       testing.TB
	to      *os.File
	from    *bufio.Reader
	session string
	n       int
	broken  []string // requests that failed, and messages of the console
}

// message is one of the DevTools protocol.
type message struct {
	ID        int             `json:"id,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    any             `json:"params,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// newBrowser starts Chromium with an empty page that runs no scripts.
func newBrowser(t testing.TB) *browser {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		lab.Missing(t, "chromium is not installed")
	}
	inRead, inWrite, err := os.Pipe()
	require.NoError(t, err)
	outRead, outWrite, err := os.Pipe()
	require.NoError(t, err)
	profile, err := os.MkdirTemp("", "browser")
	require.NoError(t, err)
	t.Cleanup(func() {
		// The children of a killed browser still write for a moment.
		assert.Eventually(t, func() bool { return os.RemoveAll(profile) == nil }, time.Minute, 50*time.Millisecond)
	})
	cmd := exec.Command(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
		"--user-data-dir="+profile, "--remote-debugging-pipe", "about:blank")
	cmd.ExtraFiles = []*os.File{inRead, outWrite} // 3 and 4
	require.NoError(t, cmd.Start())
	inRead.Close()
	outWrite.Close()
	t.Cleanup(func() {
		inWrite.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		outRead.Close()
	})
	_ = outRead.SetReadDeadline(time.Now().Add(5 * time.Minute)) // a browser that hangs fails the test
	b := &browser{t: t, to: inWrite, from: bufio.NewReaderSize(outRead, 1<<20)}
	var target struct {
		TargetID string `json:"targetId"`
	}
	b.call(&target, "Target.createTarget", map[string]any{"url": "about:blank"})
	var attached struct {
		SessionID string `json:"sessionId"`
	}
	b.call(&attached, "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true})
	b.session = attached.SessionID
	for _, domain := range []string{"Page.enable", "Network.enable", "Log.enable", "Runtime.enable"} {
		b.call(nil, domain, nil)
	}
	b.call(nil, "Emulation.setScriptExecutionDisabled", map[string]any{"value": true})
	return b
}

// call sends a command and waits for its result.
func (b *browser) call(result any, method string, params any) {
	b.t.Helper()
	failure := b.try(result, method, params)
	require.Empty(b.t, failure, method)
}

// try is call, but returns why the browser refuses.
func (b *browser) try(result any, method string, params any) (failure string) {
	b.t.Helper()
	b.n++
	text, err := json.Marshal(message{ID: b.n, Method: method, Params: params, SessionID: b.session})
	require.NoError(b.t, err)
	_, err = b.to.Write(append(text, 0))
	require.NoError(b.t, err)
	for {
		m := b.next()
		if m.ID != b.n {
			continue
		}
		if m.Error != nil {
			return m.Error.Message
		}
		if result != nil {
			require.NoError(b.t, json.Unmarshal(m.Result, result))
		}
		return ""
	}
}

// next reads a message and notes what went wrong in the page.
func (b *browser) next() message {
	b.t.Helper()
	text, err := b.from.ReadBytes(0)
	require.NoError(b.t, err)
	var m message
	require.NoError(b.t, json.Unmarshal(text[:len(text)-1], &m))
	switch m.Method {
	case "Network.loadingFailed", "Log.entryAdded", "Runtime.exceptionThrown":
		if !strings.Contains(string(text), "favicon.ico") {
			b.broken = append(b.broken, string(text[:len(text)-1]))
		}
	}
	return m
}

// open shows a page on a screen.
func (b *browser) open(url string, width int, scheme string) {
	b.t.Helper()
	b.call(nil, "Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600})
	b.call(nil, "Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}})
	b.navigate(func() { b.call(nil, "Page.navigate", map[string]any{"url": url}) })
}

// navigate waits for the page that an action leads to.
func (b *browser) navigate(action func()) {
	b.t.Helper()
	before := b.eval("performance.timeOrigin + ''")
	action()
	for range 1000 {
		if b.eval("document.readyState + (performance.timeOrigin + '' == "+before+" ? ' old' : '')") == "complete" {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	b.t.Fatal("the page does not load")
}

// eval returns the text of an expression, which the browser evaluates for the
// test though the page runs no scripts. It is empty where the page goes away
// meanwhile.
func (b *browser) eval(expression string) string {
	b.t.Helper()
	var result struct {
		Result struct {
			Value any `json:"value"`
		} `json:"result"`
		Exception any `json:"exceptionDetails"`
	}
	switch failure := b.try(&result, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}); failure {
	case "":
	case "Inspected target navigated or closed":
		return ""
	default:
		require.Empty(b.t, failure, expression)
	}
	require.Nil(b.t, result.Exception, expression)
	return fmt.Sprint(result.Result.Value)
}

// click follows the link with a text.
func (b *browser) click(text string) {
	b.t.Helper()
	b.navigate(func() {
		b.eval(fmt.Sprintf("[...document.querySelectorAll('a,button')].find(a => a.textContent.trim() == %q).click()", text))
	})
}

func (b *browser) text() string { b.t.Helper(); return b.eval("document.body.innerText") }

// TestPageInBrowser uses the page as people do, in Chromium without scripts: on
// a desktop and a phone, in light and dark. NIXS3_SCREENSHOTS names a folder that
// keeps pictures.
func TestPageInBrowser(t *testing.T) {
	b := newBrowser(t)
	g, leaf, user := newPageGateway(t)
	g.get(t, "/-/search?q=x") // makes the referrers known
	shots := os.Getenv("NIXS3_SCREENSHOTS")
	const luminance = `(c => { let [r, g, b] = c.match(/[\d.]+/g).map(Number); return Math.round(0.3 * r + 0.6 * g + 0.1 * b) })`
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int{1280, 360} {
			t.Run(fmt.Sprintf("%s, %d", scheme, width), func(t *testing.T) {
				b.t, b.broken = t, nil
				defer func() { assert.Empty(t, b.broken) }()
				look := func(name string) {
					t.Helper()
					// Nothing is wider than the screen, and a text is readable.
					assert.LessOrEqual(t, b.eval("document.documentElement.scrollWidth - innerWidth"), "0", "%s is too wide", name)
					ground := b.eval(luminance + "(getComputedStyle(document.body).backgroundColor)")
					for _, element := range []string{"body", "a", "h1, nav, main"} {
						text := b.eval(fmt.Sprintf("%s(getComputedStyle(document.querySelector(%q)).color)", luminance, element))
						assert.Equal(t, "true", b.eval(fmt.Sprintf("Math.abs(%s - %s) > 90", ground, text)), "%s: contrast of %s: %s on %s", name, element, text, ground)
					}
					assert.Equal(t, fmt.Sprint(scheme == "light"), b.eval(ground+" > 127"), "%s: ground %s", name, ground)
					assert.Equal(t, "0", b.eval("document.scripts.length"))
					if width < 600 {
						assert.Equal(t, "true", b.eval("[...document.querySelectorAll('input,button')].every(e => e.getBoundingClientRect().height >= 30)"), "too small for a finger")
					}
					if shots != "" {
						var picture struct{ Data string }
						b.call(&picture, "Page.captureScreenshot", nil)
						data, err := base64.StdEncoding.DecodeString(picture.Data)
						require.NoError(t, err)
						require.NoError(t, os.WriteFile(filepath.Join(shots, fmt.Sprintf("%s-%s-%d.png", name, scheme, width)), data, 0o644))
					}
				}
				b.open(g.URL, width, scheme)
				assert.Contains(t, b.text(), "extra-substituters = "+g.URL)
				assert.Contains(t, b.text(), "lab-cache-1:")
				look("index")

				// Search by a part of the name, with the form.
				b.eval("document.querySelector('input[name=q]').value = 'USER'")
				b.click("Search")
				assert.Contains(t, b.text(), user.String())
				look("search")
				b.click(user.String())
				assert.Contains(t, b.text(), "2 paths")
				look("path")

				// From its reference to the files, their contents and the log.
				b.click(leaf.String())
				assert.Contains(t, b.text(), "Referrers")
				assert.Contains(t, b.text(), user.String())
				b.click("Build log")
				assert.Contains(t, b.text(), "the log of leaf")
				b.open(g.URL+"/-/path/"+leaf.String(), width, scheme)
				b.click("Files")
				assert.Contains(t, b.text(), "page.html")
				look("files")
				b.click("bin/")
				b.click("hello")
				assert.Contains(t, b.text(), "echo hello")
				look("file")
				b.open(g.URL+"/-/path/"+leaf.String()+"/page.html", width, scheme)
				assert.Contains(t, b.text(), "<script>alert(1)</script>")
				b.click("About this path")
				assert.Contains(t, b.text(), leaf.String())

				// By its hash the search leads to the path.
				b.open(g.URL+"/-/search?q="+leaf.HashPart(), width, scheme)
				assert.True(t, strings.HasSuffix(b.eval("location.pathname"), "/-/path/"+leaf.String()))
				b.open(g.URL+"/-/search?q=absent", width, scheme)
				assert.Contains(t, b.text(), "Nothing found")
				look("nothing")
			})
		}
	}
}
