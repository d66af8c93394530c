// Package siege has servers that misbehave in every way that the drivers have
// to survive, for tests of the drivers. The connections are pipes in memory, so
// that a test in a synctest bubble waits for no real time.
package siege

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Answer is a way to misbehave. It has the connection after the header of a
// request was read, and returns when it is done with it.
type Answer struct {
	Name string
	Do   func(c *Conn, r *http.Request)

	// Hangs says that only the client ends it.
	Hangs bool

	// Hasty answers come before the body of the request was read.
	Hasty bool
}

// Conn is the server's end of a connection.
type Conn struct {
	net.Conn
	in   *bufio.Reader
	out  *atomic.Int64
	gone chan struct{} // closed when the client hangs up
}

// client is the other end.
type client struct {
	net.Conn
	once sync.Once
	gone chan struct{}
}

func (c *client) Close() error {
	c.once.Do(func() { close(c.gone) })
	return c.Conn.Close()
}

func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.out.Add(int64(n))
	return n, err
}

// wait lasts until the client hangs up.
func (c *Conn) wait() { io.Copy(io.Discard, c.in) }

func (c *Conn) head(status int, header string) bool {
	_, err := fmt.Fprintf(c, "HTTP/1.1 %d Status\r\n%s\r\n", status, header)
	return err == nil
}

// Server answers every request that Good does not.
type Server struct {
	Answer Answer
	Good   func(r *http.Request) (status int, header http.Header, body string)
	sent   atomic.Int64
}

// Sent returns how many bytes the server got rid of.
func (s *Server) Sent() int64 { return s.sent.Load() }

// Transport returns a transport whose connections all lead to the server.
func (s *Server) Transport() *http.Transport {
	return &http.Transport{
		DisableCompression:    true,
		ExpectContinueTimeout: time.Second,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			gone := make(chan struct{})
			go s.serve(&Conn{far, bufio.NewReader(far), &s.sent, gone})
			return &client{Conn: near, gone: gone}, nil
		},
	}
}

func (s *Server) serve(c *Conn) {
	defer c.Close()
	for {
		r, err := http.ReadRequest(c.in)
		if err != nil {
			return
		}
		if s.Good != nil {
			if status, header, body := s.Good(r); status != 0 {
				io.Copy(io.Discard, r.Body)
				var lines strings.Builder
				header.Write(&lines)
				if header.Get("Content-Length") == "" {
					fmt.Fprintf(&lines, "Content-Length: %d\r\n", len(body))
				}
				if !c.head(status, lines.String()) {
					return
				}
				if r.Method != http.MethodHead {
					io.WriteString(c, body)
				}
				continue
			}
		}
		if !s.Answer.Hasty {
			io.Copy(io.Discard, r.Body)
		}
		s.Answer.Do(c, r)
		return
	}
}

// Allocated returns how much memory the process has allocated so far, in bytes.
// The difference of two bounds what an operation had in use at any time.
func Allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// Drip is the pause between two bytes of a slow answer.
const Drip = 4 * time.Second

// Answers are all ways to misbehave, with the status that they begin with where
// they have one.
func Answers() []Answer {
	answers := []Answer{
		{"no answer", func(c *Conn, r *http.Request) { c.wait() }, true, false},
		{"no answer, no reading", func(c *Conn, r *http.Request) {
			<-c.gone
		}, true, true},
		{"half a header", func(c *Conn, r *http.Request) { io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-"); c.wait() }, true, true},
		{"endless header", func(c *Conn, r *http.Request) {
			line := "X-A: " + strings.Repeat("a", 4096) + "\r\n"
			for ok := c.head(200, line); ok; {
				_, err := io.WriteString(c, line)
				ok = err == nil
			}
		}, false, true},
		{"reset", func(c *Conn, r *http.Request) {}, false, true},
		{"not HTTP", func(c *Conn, r *http.Request) { io.WriteString(c, "SSH-2.0-siege\r\n"); c.wait() }, false, true},
		{"redirect loop", func(c *Conn, r *http.Request) {
			c.head(307, "Content-Length: 0\r\nLocation: "+r.URL.String()+"\r\n")
			c.wait()
		}, false, false},
	}
	for _, status := range []int{200, 206, 403, 404, 503} {
		name := func(s string) string { return fmt.Sprintf("%d, %s", status, s) }
		partial := ""
		hasty := status == 403 || status == 503
		if status == 206 {
			partial = "Content-Range: bytes 0-99/100\r\n"
		}
		answers = append(answers,
			Answer{name("header only"), func(c *Conn, r *http.Request) {
				c.head(status, partial+"Content-Length: 100\r\nETag: \"e\"\r\n")
				c.wait()
			}, true, hasty},
			Answer{name("half a body"), func(c *Conn, r *http.Request) {
				c.head(status, partial+"Content-Length: 100\r\nETag: \"e\"\r\n")
				io.WriteString(c, strings.Repeat("x", 50))
				c.wait()
			}, true, hasty},
			Answer{name("wrong length"), func(c *Conn, r *http.Request) {
				c.head(status, partial+"Content-Length: 100\r\nETag: \"e\"\r\n")
				io.WriteString(c, strings.Repeat("x", 50))
			}, false, hasty},
			Answer{name("two lengths"), func(c *Conn, r *http.Request) {
				c.head(status, "Content-Length: 100\r\nContent-Length: 99\r\n")
				c.wait()
			}, false, hasty},
			Answer{name("slow drip"), func(c *Conn, r *http.Request) {
				for ok := c.head(status, "Content-Length: 1000000\r\nETag: \"e\"\r\n"); ok; {
					select {
					case <-time.After(Drip):
					case <-c.gone:
					}
					_, err := io.WriteString(c, "x")
					ok = err == nil
				}
			}, true, hasty},
			Answer{name("endless body"), func(c *Conn, r *http.Request) {
				block := []byte("1000\r\n" + strings.Repeat("<a></a>\n", 512) + "\r\n")
				for ok := c.head(status, "Transfer-Encoding: chunked\r\nETag: \"e\"\r\n"); ok; {
					_, err := c.Write(block)
					ok = err == nil
				}
			}, false, hasty},
			Answer{name("endless text"), func(c *Conn, r *http.Request) {
				block := []byte("1000\r\n" + strings.Repeat("x", 4096) + "\r\n")
				for ok := c.head(status, "Transfer-Encoding: chunked\r\nETag: \"e\"\r\n"); ok; {
					_, err := c.Write(block)
					ok = err == nil
				}
			}, false, hasty},
		)
	}
	for _, status := range []int{101, 102, 199, 201, 204, 205, 226, 299, 300, 304, 306, 399, 418, 451, 499, 505, 599, 600, 999} {
		answers = append(answers, Answer{fmt.Sprintf("odd status %d", status), func(c *Conn, r *http.Request) {
			c.head(status, "Content-Length: 0\r\nETag: \"e\"\r\n")
			c.wait()
		}, status < 200, false})
	}
	return answers
}
